"""A small GPT, trained here on this repository's own documents, and its loss with attention on different machines.

Run from the repository: ``python examples/gpt.py [--steps N] [--plot FILE.png]``; ``--quick`` is for a first look. The
model is trained with torch's attention; then the same weights predict held-out text with torch's and with ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from torch import nn
from torch.nn import functional as F

from myhdl_fsa.torch import use

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "CHANGELOG.md", "docs/*.md")
CONTEXT = 64
"""characters that the model sees"""
WIDTH, HEADS, LAYERS = 64, 4, 3
"""a head has 16 columns, which an array of 16 rows just holds"""
BATCH = 32

MACHINES: dict[str, dict[str, Any]] = {
    "fp16": {},
    "fp16, 4 pieces": {"exp2_pieces": 4},
    "fp16, 16 pieces": {"exp2_pieces": 16},
    "fp16, N = 32": {"rows": 32},
    "fp16, newton": {"reciprocal": "newton"},
    "bf16": {"elem": "bf16"},
    "bf16, 16 pieces": {"elem": "bf16", "exp2_pieces": 16},
    "e4m3": {"elem": "e4m3"},
    "e5m2": {"elem": "e5m2"},
}
"""fields of the machine, beside 16 rows, 8 pieces of exp2 and division"""


class Block(nn.Module):
    """One layer: attention, then two linear layers. Attention's inputs are rounded to ``attention_dtype``."""

    attention_dtype = torch.float32

    def __init__(self) -> None:
        super().__init__()
        self.before_attention, self.before_linear = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.linear = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, seq, WIDTH] of the same."""
        heads = self.qkv(self.before_attention(x)).unflatten(-1, (3, HEADS, -1)).to(self.attention_dtype)
        q, k, v = heads.transpose(1, 3).unbind(2)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).to(x.dtype).transpose(1, 2).flatten(2))
        return x + self.linear(self.before_linear(x))


class Gpt(nn.Module):
    """Characters in, scores of the next character out."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.character, self.place = nn.Embedding(characters, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.layers = nn.Sequential(*(Block() for _ in range(LAYERS)), nn.LayerNorm(WIDTH),
                                    nn.Linear(WIDTH, characters))

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Scores [batch, seq, characters] of indices [batch, seq]."""
        return self.layers(self.character(text) + self.place(torch.arange(text.shape[1])))


def cross_entropy(scores: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Mean, in nats a character, of scores [batch, CONTEXT, characters] for indices [batch, CONTEXT + 1]."""
    return F.cross_entropy(scores.flatten(0, 1), text[:, 1:].flatten())


def read() -> tuple[torch.Tensor, torch.Tensor, int]:
    """The documents as indices, their last tenth apart; and how many characters there are."""
    text = "".join(path.read_text() for pattern in DOCUMENTS for path in sorted(ROOT.glob(pattern)))
    alphabet = {character: index for index, character in enumerate(sorted(set(text)))}
    indices = torch.tensor([alphabet[character] for character in text])
    return *indices.split([len(text) - len(text) // 10, len(text) // 10]), len(alphabet)


def train(model: Gpt, text: torch.Tensor, steps: int) -> Iterator[float]:
    """Trains, and gives every step's loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    for _ in range(steps):
        starts = torch.randint(len(text) - CONTEXT - 1, (BATCH, 1))
        batch = text[starts + torch.arange(CONTEXT + 1)]
        loss = cross_entropy(model(batch[:, :-1]), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield loss.item()


class Result(NamedTuple):
    """What a model says of held-out text with one attention."""

    loss: float
    """nats a character"""
    divergence: float
    """Kullback-Leibler, of the predictions from those with torch's float32 attention: nats a character"""
    others: float
    """the share of characters for which another one is the most likely than with torch's float32 attention"""


@torch.no_grad()
def compare(model: Gpt, text: torch.Tensor, pieces: int) -> Iterator[tuple[str, Result]]:
    """Every attention, torch's in float32 first."""
    data = text[: pieces * (CONTEXT + 1)].view(pieces, CONTEXT + 1)
    exact = None
    settings: list[tuple[str, torch.dtype, Callable[[], AbstractContextManager[Any]]]] = [
        (f"torch, {str(dtype).removeprefix('torch.')}", dtype, nullcontext)
        for dtype in (torch.float32, torch.float16, torch.bfloat16)]
    settings += [(name, torch.float32, lambda fields=fields: use(**{"rows": 16, **fields}))
                 for name, fields in MACHINES.items()]
    for name, dtype, context in settings:
        Block.attention_dtype = dtype
        with context():
            scores = torch.cat([model(batch[:, :-1]) for batch in data.split(BATCH)])
        logarithms = scores.double().log_softmax(-1).flatten(0, 1)
        exact = logarithms if exact is None else exact
        apart = F.kl_div(logarithms, exact, reduction="batchmean", log_target=True)
        others = (logarithms.argmax(-1) != exact.argmax(-1)).double().mean()
        yield name, Result(cross_entropy(scores, data).item(), apart.item(), others.item())
    Block.attention_dtype = torch.float32


def plot(path: Path, results: dict[str, Result]) -> None:
    """How far the predictions are from those with the first attention."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(results)[1:]
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.barh(names, [results[name].divergence for name in names],
              color=["tab:gray" if name.startswith("torch") else "tab:blue" for name in names])
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("divergence from the predictions with torch's float32 attention, nats a character")
    figure.tight_layout()
    # no date and no version in the file: the same from run to run
    figure.savefig(path, dpi=100, metadata={"Software": None})


@click.command(help=__doc__)
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="Training steps.")
@click.option("--pieces", type=click.IntRange(1), default=160, show_default=True,
              help=f"Pieces of held-out text to compare on, {CONTEXT} characters each.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights and training batches.")
@click.option("--quick", is_flag=True, help="20 steps and 4 pieces: that it runs, not what it says.")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png", help="Draw it.")
def main(steps: int, pieces: int, seed: int, quick: bool, picture: Path | None) -> None:
    if picture is not None and find_spec("matplotlib") is None:
        raise click.ClickException("--plot needs matplotlib: pip install matplotlib, or -e '.[bench]'")
    if quick:
        steps, pieces = min(steps, 20), min(pieces, 4)
    torch.manual_seed(seed)
    text, held_out, characters = read()
    pieces = min(pieces, len(held_out) // (CONTEXT + 1))
    model = Gpt(characters)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    click.echo(f"{parameters} parameters, {len(text)} characters of text, {characters} different ones")
    for step, loss in enumerate(train(model, text, steps), 1):
        if step % 250 == 0 or step == steps:
            click.echo(f"step {step}: loss {loss:.3f}", err=True)
    model.eval()
    results: dict[str, Result] = {}
    click.echo("attention            loss  over float32  divergence  other predictions")
    for name, result in compare(model, held_out, pieces):
        results[name] = result
        over = result.loss - results["torch, float32"].loss
        click.echo(f"{name:16}  {result.loss:7.5f}  {over:+12.5f}  {result.divergence:10.1e}  "
                   f"{100 * result.others:15.2f} %")
    if picture is not None:
        plot(picture, results)


if __name__ == "__main__":
    main()
