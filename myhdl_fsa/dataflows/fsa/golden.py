"""The published array without a clock: what its instructions make of the two RAMs, with the steps of ``golden``."""

from __future__ import annotations

import numpy as np

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.formats import Bits, Values
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.arithmetic.rounding import add_values, decode
from myhdl_fsa.config import Config
from myhdl_fsa.isa import Function, Matrix
from myhdl_fsa.kernel.legality import accumulator_rows, scratchpad_rows
from myhdl_fsa.scale import Scale

__all__ = ["Array"]


class Array:
    """One register a processing element, one factor a column. Source: docs/specification.md sections 2 to 4.

    An ATTN_SCORE takes what the array holds (queries, or the weights of the one before), an ATTN_VALUE likewise.
    """

    def __init__(self, config: Config, scale: Scale) -> None:
        self.config, self.scale = config, scale
        self.registers: Values = np.zeros((config.rows, config.cols))
        """the elem register of each processing element: queries, then weights with the last key in row 0"""
        self.running_max: Values = np.full(config.cols, -np.inf)
        self.factor: Values = np.zeros(config.cols)
        """the accumulators' register: what rescales O and L, then 1 / L"""

    def run(self, instruction: Matrix, scratchpad: Bits, accumulator: Values) -> None:
        """Runs an instruction on the scratchpad [rows, config.rows] and the accumulator RAM [rows, config.cols]."""
        rows = accumulator_rows(instruction, self.config)
        old = np.zeros((len(rows), self.config.cols)) if instruction.zero else accumulator[rows]
        match Function(instruction.function):
            case Function.LOAD_STATIONARY:
                # the row read first ends up in the last column
                self.registers = self._operand(instruction, scratchpad)[::-1].T
            case Function.ATTN_SCORE:
                sums = self._score(instruction, scratchpad)
                accumulator[rows] = self._rescaled(old, sums)
            case Function.ATTN_VALUE:
                # on its way down a sum meets row 0 first; a fold begins with the last
                values = self._operand(instruction, scratchpad)
                weighted = golden.fold(values.T[::-1, :, None], self.registers[::-1, None, :], self.config)
                accumulator[rows] = self._rescaled(old, weighted)
            case Function.ACC_RECIPROCAL:
                (total,) = old
                self.factor = Reciprocal(self.config.acc, self.config.reciprocal).compute_values(total)
            case Function.ATTN_LSE_NORM:
                accumulator[rows] = self._rescaled(old, 0.0)
                self.running_max = np.full(self.config.cols, -np.inf)

    def _score(self, instruction: Matrix, scratchpad: Bits) -> Values:
        """The sums of the weights."""
        config = self.config
        keys = self._operand(instruction, scratchpad)
        score = golden.fold(keys.T[:, :, None], self.registers[:, None, :], config)[None]
        if instruction.causal:
            golden.mask_later(score, range(1))
        if instruction.hidden:
            golden.hide_last(score[0], instruction.hidden)
        old, new = golden.running_max(score, self.running_max)
        self.running_max = new[-1]
        weights = golden.exp_weights(score, new, config, self.scale)[0]
        self.factor = golden.rescale_factor(old, new, config, self.scale)[0]
        self.registers = weights[::-1].astype(np.float64)
        return golden.fold(np.ones((config.rows, 1)), weights, config)[None]

    def _operand(self, instruction: Matrix, scratchpad: Bits) -> Values:
        """The scratchpad rows that the instruction reads, [row read, array row that meets the element]."""
        values = decode(scratchpad[scratchpad_rows(instruction, self.config)], self.config.elem)
        turned = instruction.reverse_in ^ instruction.reverse_out
        return values[:, ::-1] if turned else values

    def _rescaled(self, old: Values, addend: Values | float) -> Values:
        return add_values(old * self.factor, addend, self.config.acc)
