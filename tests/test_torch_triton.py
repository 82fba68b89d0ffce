"""The GPU's kernel against the golden model, every bit: in Triton's interpreter, and on a GPU where there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from triton_cases import CUDA, INTERPRETED, difference

from myhdl_fsa.arithmetic.formats import FP16
from myhdl_fsa.config import Config

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="needs an NVIDIA GPU: there, run python -m pytest tests/test_torch_triton.py")


def run(code: list[str], **environment: str) -> subprocess.CompletedProcess:
    """A Python process of its own: triton decides when it is imported whether it interprets."""
    return subprocess.run([sys.executable, *code], capture_output=True, text=True, check=False, timeout=600,
                          env={**os.environ, **environment})


def interpret(script: str, *arguments: str) -> None:
    done = run([str(Path(__file__).with_name(script)), *arguments], TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("group", INTERPRETED)
def test_the_interpreted_kernel_has_the_golden_models_bits(group):
    interpret("triton_cases.py", group)


def test_each_interpreted_operation_has_the_golden_models_bits():
    interpret("triton_operations.py")


@needs_gpu
def test_each_operation_on_a_gpu_has_the_golden_models_bits():
    from triton_operations import differences

    assert list(differences("cuda", 1 << 20)) == []


@needs_gpu
@pytest.mark.parametrize("case", CUDA, ids=str)
def test_the_gpus_kernel_has_the_golden_models_bits(case):
    assert difference(case, "cuda") is None


@needs_gpu
def test_nothing_waits_for_the_gpu():
    from myhdl_fsa.torch.triton_kernel import attention

    tensors = [torch.randn(1, 2, 40, 16, device="cuda") for _ in range(3)]
    config = Config(rows=16)
    wanted = attention(*tensors, config)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = attention(*tensors, config)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(found, wanted)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = attention(*tensors, config)
    found.zero_()
    graph.replay()
    assert torch.equal(found, wanted)


def test_no_tensor_core_takes_part():
    """Compiled for a GPU that need not be there: float32 chains, of which tensor cores know nothing."""
    code = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from myhdl_fsa.torch.triton_kernel import _attention_kernel as kernel

settings = dict(TILE=16, KEYS=16, DEPTH=16, WIDTH=16, QUERIES=32, STAGES=3, CAUSAL=True, RAGGED=True, BF16=True,
                PIECES=8, NEWTON_STEPS=9, INTERPRETED=False)
kinds = dict(table="*i16", query_lowest="*i32", key_lowest="*i32", value_lowest="*i32", heads="i32", group="i32",
             seq_q="i32", seq_kv="i32", value_dim="i32", **dict.fromkeys(settings, "constexpr"))
signature = {name: kinds.get(name, "*fp32") for name in kernel.arg_names}
built = triton.compile(ASTSource(kernel, signature, constexprs=settings), target=GPUTarget("cuda", 90, 32),
                       options={"enable_fp_fusion": True})
text = built.asm["ptx"]
print("mma" in text, "tf32" in text, "fma.rn.f32" in text, "fma.rn.ftz.f32" in text)
"""
    done = run(["-c", code])
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False False True True\n"


FOUR = [(1, 1, 4, 4)] * 3


@pytest.mark.parametrize(("config", "shapes", "message"), [
    (Config(rows=4, elem="e4m3"), FOUR, "^attention on CUDA tensors with e4m3 and fp32: the formats must be fp16 or "),
    (Config(rows=4, acc=FP16), FOUR, "^attention on CUDA tensors with fp16 and fp16: the formats must be fp16 or bf16"),
    (Config(rows=4), [(1, 1, 4, 8)] * 3, r"^q has shape \[1, 1, 4, 8\]: must be \[batch, heads, seq, d\] with d f"),
])
def test_what_the_kernel_cannot_do_is_refused(config, shapes, message):
    from myhdl_fsa.torch.triton_kernel import attention

    with pytest.raises(ValueError, match=message) as raised:
        attention(*(torch.zeros(shape) for shape in shapes), config)
    assert "\n" not in str(raised.value)


def test_without_triton_it_says_what_to_install():
    code = "import sys; sys.modules['triton'] = None\nimport myhdl_fsa.torch.triton_kernel"
    done = run(["-c", code])
    assert done.returncode == 1
    assert done.stderr.endswith("ImportError: attention on CUDA tensors needs triton: pip install triton\n")
