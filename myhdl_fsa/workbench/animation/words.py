"""What a unit computes in a cycle, as a formula with the values that it holds and takes."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FORMULAS"]

_ADD = ("down <- {above} + {register} * {left}", "down <- {above} + {weight} * {left}")

FORMULAS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "pe": {
        "load": ("register <- {left}", "query <- {below}"),
        "score": ("up <- {below} + {register} * {left}", "down <- {above} + {query} * {left}"),
        "return": ("register <- {above}", "weight <- {below}"),
        "subtract": ("register <- {register} * {left} + {above}", "weight <- {weight} * {left} + {above}"),
        "scale": ("register <- {register} * {left} + {below}", "weight <- {weight} * {left} + {above}",
                  "weight <- {weight} * {left}"),
        "exp2": ("register <- {register} * {left} + {above}, if this piece is its own",
                 "weight <- 2^{weight}"),
        "sum": _ADD,
        "value": _ADD,
    },
    "comparator": {
        "maximum": ("maximum <- max({maximum}, {score})",),
        "subtract": ("difference <- old maximum - {maximum}; {score} is minus the old one", "down <- -{maximum}"),
        "scale": ("down <- {difference}", "down <- old maximum - {maximum}"),
        "exp2": ("down <- the intercept of the next piece",),
        "sum": ("down <- 0",),
    },
    "top": {
        "maximum": ("maximum <- {below}, in two halves",),
        "subtract": ("down <- {above}",),
    },
    "accumulator": {
        "scale": ("{result} <- {inflow} * scale",),
        "exp2": ("{result} <- 2^{factor}",),
        "sum": ("{result} <- {old} * {factor} + {inflow}",),
        "value": ("{result} <- {old} * {factor} + {inflow}",),
        "reciprocal": ("reciprocal <- 1 / {reciprocal}", "factor <- {old}, to be divided", "factor <- 1 / {factor}"),
        "normalise": ("{result} <- {old} * {reciprocal}", "{result} <- {old} * {factor}"),
    },
}
"""by kind and work: the first one counts whose values are all there. A kind or work that is not here has its values
listed"""
