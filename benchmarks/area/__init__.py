"""What benchmarks/synthesis.py measures: gates, FPGA resources, standard cells, and the array to compare with."""
