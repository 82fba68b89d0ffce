"""A model's attention on the machine: torch's own function, wherever a module calls it, becomes ours."""

from __future__ import annotations

import inspect
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional
from torch.overrides import TorchFunctionMode

from myhdl_fsa.config import Config
from myhdl_fsa.torch.machine import specification
from myhdl_fsa.torch.operator import prepare

__all__ = ["Calls", "MachineAttention", "use"]


_NEED_WEIGHTS = [*inspect.signature(torch.nn.functional.multi_head_attention_forward).parameters].index("need_weights")


@dataclass
class Calls:
    """How many calls of attention ran on the machine, and how many in torch."""

    machine: int = 0
    torch: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count(self, where: Literal["machine", "torch"]) -> None:
        """One more call there. Code that torch.compile made is not counted."""
        if not torch.compiler.is_compiling():
            with self._lock:
                setattr(self, where, getattr(self, where) + 1)


class MachineAttention(TorchFunctionMode):
    """What ``use`` gives: a context manager, with ``calls``."""

    def __init__(self, text: str, otherwise: Literal["error", "torch"]) -> None:
        super().__init__()
        self.calls = Calls()
        self._text = text
        self._otherwise = otherwise
        self._multi_head = _with_attention(torch.nn.functional.multi_head_attention_forward, self._attention)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:
            return self._attention(*args, **(kwargs or {}))
        if func is torch.nn.functional.multi_head_attention_forward:
            return self._multi_head_attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _multi_head_attention(self, *args: Any, **kwargs: Any) -> Any:
        place = _NEED_WEIGHTS
        if not kwargs.get("need_weights", args[place] if len(args) > place else True):
            return self._multi_head(*args, **kwargs)
        # for weights torch calls no attention function
        if self._otherwise == "error":
            raise NotImplementedError("need_weights = True: must be False, the machine gives no weights of attention")
        self.calls.count("torch")
        return torch.nn.functional.multi_head_attention_forward(*args, **kwargs)

    def _attention(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        try:
            prepared = prepare(self._text, *args, **kwargs)
        except (TypeError, ValueError, NotImplementedError):
            if self._otherwise == "error":
                raise
            self.calls.count("torch")
            return torch.nn.functional.scaled_dot_product_attention(*args, **kwargs)
        result = prepared.run()
        self.calls.count("machine")
        return result


def use(
    config: Config | str | None = None, *, otherwise: Literal["error", "torch"] = "error", **fields: Any
) -> MachineAttention:
    """A context manager: attention inside it runs on the machine, in whatever model calls it.

    It takes the calls of ``torch.nn.functional.scaled_dot_product_attention``, however that was imported, those of
    ``torch.nn.MultiheadAttention`` (with ``need_weights=False``) and of the transformers library's
    ``sdpa``. It holds for the thread that enters it, also in code that torch.compile compiles there; inside another
    one, the inner holds. It can be entered again, and in several threads.

    ``config`` and what it means are those of ``myhdl_fsa.torch.scaled_dot_product_attention``; ``fields`` are fields of
    Config to change in it, as ``use(elem="bf16", exp2_pieces=16)``. A call that the machine cannot run raises that
    function's error; with ``otherwise="torch"`` torch runs it. ``calls.machine`` and ``calls.torch`` of what ``with``
    gives count both, except in code that torch.compile made.

    Raises ConfigError for what is no machine, ValueError for another ``otherwise``.
    """
    if otherwise not in ("error", "torch"):
        raise ValueError(f"otherwise = {otherwise!r}: must be 'error' or 'torch'")
    return MachineAttention(specification(config, fields), otherwise)


def _with_attention(function: Any, attention: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    """A copy of a Python function of torch that calls this attention.

    While a mode handles a function, the mode is off for what that calls; and the function would hand itself to the mode
    again if it were on.
    """
    names = {**function.__globals__, "scaled_dot_product_attention": attention,
             "has_torch_function": lambda tensors: False}
    del names["__name__"]  # torch.compile would look the names up in the module of that name
    copy = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
