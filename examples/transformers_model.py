"""Models of the transformers library, with random weights, on the machine: what their scores differ by.

Run from the repository: ``python examples/transformers_model.py [--seq N] [--preset NAME]``. Nothing is downloaded: a
Llama with grouped queries and a GPT-2 are built from configurations.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import click
import torch

from myhdl_fsa.torch import use

VOCABULARY = 1000
"""tokens"""


def models() -> Iterator[tuple[str, Any]]:
    """Names and models of four layers, whose heads have 32 columns."""
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

    sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": 256, "attn_implementation": "sdpa"}
    llama = LlamaConfig(hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=8,
                        num_key_value_heads=2, **sizes)
    gpt2 = GPT2Config(n_embd=256, n_layer=4, n_head=8, bos_token_id=0, eos_token_id=0, **sizes)
    for config in (llama, gpt2):
        yield type(config).__name__.removesuffix("Config"), AutoModelForCausalLM.from_config(config).eval()


@torch.no_grad()
def compare(model: Any, seq: int, preset: str | None) -> str:
    """In words: how far the scores are apart, and whether the same tokens have the highest."""
    tokens = torch.randint(VOCABULARY, (2, seq))
    exact = model(tokens).logits
    with use(preset) as here:
        ours = model(tokens).logits
    apart, same = (ours - exact).abs(), (ours.argmax(-1) == exact.argmax(-1)).double().mean().item()
    return (f"{here.calls.machine} attentions on the machine; scores up to {exact.abs().max():.2f} differ by at most "
            f"{apart.max():.1e}, {apart.mean():.1e} on average; the same token first in {100 * same:.1f} % of "
            f"{tokens.numel()} places")


@click.command(help=__doc__)
@click.option("--seq", type=click.IntRange(1, 256), default=100, show_default=True, help="Tokens in each of 2 texts.")
@click.option("--preset", help="A published machine, such as FSA32X32Bf16Config, in place of the default one.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights and tokens.")
def main(seq: int, preset: str | None, seed: int) -> None:
    if find_spec("transformers") is None:
        raise click.ClickException("this needs the transformers library: pip install transformers, or -e '.[examples]'")
    torch.manual_seed(seed)
    for name, model in models():
        click.echo(f"{name}: {compare(model, seq, preset)}")


if __name__ == "__main__":
    main()
