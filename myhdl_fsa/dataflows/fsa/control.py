"""The control words that travel through the machine: PE bundle, comparator and accumulator commands.

Source: docs/specification.md section 3.
"""

from __future__ import annotations

__all__ = ["Accumulator", "Comparator", "Constant", "PE_BIT", "PE_CONTROL_WIDTH", "PE_SIGNALS"]

PE_SIGNALS = ("mac", "acc_ui", "update_reg", "exp2", "load_reg_li", "load_reg_ui", "flow_lr", "flow_ud", "flow_du")
"""The PE control bits, bit 0 first."""

PE_CONTROL_WIDTH = len(PE_SIGNALS)
PE_BIT = {name: 1 << bit for bit, name in enumerate(PE_SIGNALS)}


class Comparator:
    """Comparator commands; 0 is idle."""

    UPDATE = 1
    """new max <- MAX(value from the array, new max); send the value down as elem"""
    PROP_MAX = 2
    """send -(new max)"""
    PROP_MAX_DIFF = 3
    """send (old max) - (new max); old max <- new max"""
    PROP_ZERO = 4
    """send +0"""
    PROP_EXP2_INTERCEPTS = 5
    """send the next exp2 intercept, its piece number in exponent bits [E-1:1]"""
    RESET = 6
    """both maxima <- -Inf"""
    WIDTH = 3


class Accumulator:
    """Accumulator commands; 0 is idle. ``a`` is the column's register, ``ram`` the word read the cycle before."""

    EXP_S1 = 1
    """a <- (value from the array) * scale"""
    EXP_S2 = 2
    """a <- EXP2(a)"""
    ACC_SA = 3
    """out <- a * ram + (value from the array)"""
    ACC = 4
    """out <- a * ram"""
    SET_SCALE = 5
    """a <- ram"""
    RECIPROCAL = 6
    """a <- 1 / a, held for the latency of the reciprocal"""
    WIDTH = 3


class Constant:
    """What the scratchpad port can send in place of a row: one elem value in every lane."""

    ONE = 0
    SCALE = 1
    """the elem value of the scale registers"""
    SLOPES = 2
    """the next exp2 slope"""
    WIDTH = 2
