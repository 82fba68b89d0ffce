"""FlashAttention inside one systolic array: its hardware in MyHDL, its simulation, and a bit-exact numpy model.

>>> import numpy as np
>>> import myhdl_fsa
>>> q, k, v = np.random.default_rng(0).random((3, 8, 4))
>>> myhdl_fsa.attention(q, k, v, "FSA4X4Fp16Config").shape
(8, 4)

What is here is imported when it is first asked for. ``engine`` and ``kernel`` are modules that can be called too:
``engine("myhdl")`` gives an engine, and ``@kernel`` makes a kernel of a function.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from myhdl_fsa import easyfloat, engine, kernel
    from myhdl_fsa.api.attention import attention
    from myhdl_fsa.config import Config, preset

    __version__: str

__all__ = ["Config", "__version__", "attention", "easyfloat", "engine", "kernel", "preset"]

_MODULES = ("easyfloat", "engine", "kernel")
_HOMES = {"Config": "config", "attention": "api.attention", "preset": "config"}
"""the module that each other name is from"""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"myhdl_fsa.{name}")
    if name in _HOMES:
        value = getattr(import_module(f"myhdl_fsa.{_HOMES[name]}"), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("myhdl-fsa")
    else:
        raise AttributeError(f"module 'myhdl_fsa' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
