"""The machine's attention on torch tensors."""
