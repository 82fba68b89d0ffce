"""The arithmetic of the GPU's kernel, one operation at a time, compared with the golden model's.

``TRITON_INTERPRET=1 python tests/triton_operations.py`` compares in Triton's interpreter and prints what differs.
"""

import sys
from collections.abc import Iterator

import numpy as np
import torch
import triton
import triton.language as tl

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.fma import MultiplyAdd
from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32, FloatFormat
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.arithmetic.rounding import add_values, decode, encode, round_values
from myhdl_fsa.torch.triton_arithmetic import exp2, multiply_add, reciprocal, round_difference, round_element

SIZE = 1 << 10


@triton.jit
def _kernel(x, y, z, result, KIND: tl.constexpr, BF16: tl.constexpr, NUMBER: tl.constexpr, EMULATE: tl.constexpr,
            SIZE: tl.constexpr):
    at = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    a = tl.load(x + at)
    if KIND == "multiply_add":
        found = multiply_add(a, tl.load(y + at), tl.load(z + at), EMULATE)
    elif KIND == "exp2":
        found = exp2(a, y, NUMBER, EMULATE)
    elif KIND == "reciprocal":
        found = reciprocal(a, NUMBER, EMULATE)
    elif KIND == "round":
        found = round_element(a, BF16)
    else:
        found = round_difference(a, tl.load(y + at), BF16, EMULATE)
    tl.store(result + at, found)


def run(kind: str, device: str, *arrays: np.ndarray, bf16: bool = False, number: int = 0) -> np.ndarray:
    x, y, z = (torch.from_numpy(array).to(device) for array in (*arrays, *arrays, *arrays)[:3])
    result = torch.empty(len(x), dtype=torch.int16 if kind in ("round", "difference") else torch.float32, device=device)
    _kernel[(len(x) // SIZE,)](x, y, z, result, KIND=kind, BF16=bf16, NUMBER=number,
                               EMULATE=not isinstance(_kernel, triton.JITFunction), SIZE=SIZE)
    return result.cpu().numpy().view(np.uint16 if result.dtype == torch.int16 else np.uint32)


def numbers(rng: np.random.Generator, count: int, low: int, high: int, mantissa: int = 23) -> np.ndarray:
    """float32 of either sign, 2**low to 2**high, of so many bits after the point; some zeros, Inf and NaN."""
    fraction = rng.integers(1 << mantissa, 2 << mantissa, count) / (1 << mantissa)
    values = fraction * 2.0 ** rng.integers(low, high, count) * rng.choice([-1, 1], count)
    odd = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan], count)
    return np.where(rng.random(count) < 0.01, odd, values).astype(np.float32)


def bits(array: np.ndarray) -> np.ndarray:
    return array.view(np.uint32)


def same(found: np.ndarray, wanted: np.ndarray, fmt: FloatFormat) -> bool:
    """Whether the patterns are equal; a NaN is one whatever its pattern, and of elements a zero whatever its sign."""
    magnitude, other = found & (fmt.sign_mask - 1), wanted & (fmt.sign_mask - 1)
    equal = (found == wanted) | ((magnitude > fmt.infinity) & (other > fmt.infinity))
    return bool((equal | ((magnitude == 0) & (other == 0) & (fmt != FP32))).all())


def differences(device: str, count: int) -> Iterator[str]:
    rng = np.random.default_rng(0)
    single = MultiplyAdd(FP32, FP32)
    normal, near, far = (-20, 20), (-66, -58), (-126, 128)
    for name, x, y, z in (
        ("ordinary", *(numbers(rng, count, *normal) for _ in range(3))),
        ("any", *(numbers(rng, count, *far) for _ in range(3))),
        ("small", numbers(rng, count, *near), numbers(rng, count, *near), numbers(rng, count, -126, -122)),
        ("alone", numbers(rng, count, *near), numbers(rng, count, *near), np.zeros(count, np.float32)),
        # sums next to the smallest normal number
        ("least", numbers(rng, count, -77, -74, 7), numbers(rng, count, -77, -74, 7),
         rng.choice(np.array([2.0**-126, -(2.0**-126), 2.0**-126 + 2.0**-149], np.float32), count)),
        # sums in the middle of two numbers, and so close to it that float64 does not tell
        ("middle", numbers(rng, count, -30, -20, 3), numbers(rng, count, -30, 0, 3), numbers(rng, count, -1, 1)),
        ("almost", np.full(count, (1 + 2.0**-23) * 2.0**-12, np.float32),
         np.float32((1 - 2.0**-23) * 2.0**-12) * rng.choice(np.array([-1, 1], np.float32), count),
         numbers(rng, count, 0, 1)),
    ):
        if not same(run("multiply_add", device, x, y, z), single.compute(bits(x), bits(y), bits(z)), FP32):
            yield f"multiply_add {name}"
    for elem, (low, high) in ((FP16, (-16, 17)), (BF16, (-126, 128))):
        for name, least, most, mantissa in (("any", low, high, 23), ("middle", low, high, elem.mantissa_bits + 1),
                                            ("least", 1 - elem.bias - 2, 2 - elem.bias, elem.mantissa_bits + 2)):
            x = numbers(rng, count, max(least, -126), most, mantissa)
            wanted = encode(round_values(x.astype(np.float64), elem), elem)
            if not same(run("round", device, x, bf16=elem == BF16), wanted, elem):
                yield f"round_element {elem} {name}"
            # the distance decides whether the float32 difference is exact
            for distance in (-1, -12, -30):
                x = decode(wanted, elem).astype(np.float32)
                with np.errstate(all="ignore"):
                    y = np.where(rng.random(count) < 0.5, x * numbers(rng, count, distance, distance + 1, mantissa),
                                 x * (1 + numbers(rng, count, distance, distance + 1, 3))).astype(np.float32)
                y[(np.abs(y) < 2.0**-126) & (y != 0)] = 0
                exact = encode(add_values(x.astype(np.float64), -y.astype(np.float64), elem), elem)
                if not same(run("difference", device, x, y, bf16=elem == BF16), exact, elem):
                    yield f"round_difference {elem} {name} {distance}"
    for pieces in (2, 8, 128):
        unit = Exp2(FP32, FP32, pieces)
        pairs = np.stack([unit.slopes, unit.intercepts], axis=1).astype(np.uint32).view(np.float32).ravel()
        for low, high in ((-30, 9), (-3, 8), (6, 8)):
            x = -np.abs(numbers(rng, count, low, high))
            if not same(run("exp2", device, x, pairs, number=pieces), unit.compute(bits(x)), FP32):
                yield f"exp2 {pieces} {low}"
    for method, steps in (("division", 0), ("newton", Reciprocal(FP32, "newton").iterations)):
        for low, high in ((-126, 128), (124, 128), (0, 1)):
            x = numbers(rng, count, low, high)
            if not same(run("reciprocal", device, x, number=steps), Reciprocal(FP32, method).compute(bits(x)), FP32):
                yield f"reciprocal {method} {low}"


if __name__ == "__main__":
    np.seterr(all="ignore")
    for text in differences("cpu", int(sys.argv[1]) if len(sys.argv) > 1 else 1 << 13):
        print(text, flush=True)
