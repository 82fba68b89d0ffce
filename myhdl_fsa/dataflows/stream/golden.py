"""The stream array without a clock: what its instructions make of the two RAMs, with the steps of ``golden``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.formats import Bits, Values
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.arithmetic.rounding import add_values, decode
from myhdl_fsa.config import Config
from myhdl_fsa.isa import Function, Matrix
from myhdl_fsa.kernel.legality import Rows, accumulator_rows, scratchpad_rows
from myhdl_fsa.scale import Scale

__all__ = ["Array"]


@dataclass(frozen=True)
class _Tile:
    """A tile of scores in the edge buffers, between its ATTN_SCORE and its ATTN_VALUE."""

    scores: np.ndarray
    """[wave, column]; the first wave's go to array row 0"""
    maximum: Values
    """the running maximum behind it, a column"""
    first: bool
    """the first of its query tile"""
    sums: Rows
    """the row of the accumulator RAM that its weights' sums are added to"""


class Array:
    """Q in the processing elements; scores that wait in the edge buffers; maxima, sums and 1 / L a column."""

    def __init__(self, config: Config, scale: Scale) -> None:
        self.config, self.scale = config, scale
        cols = config.cols
        self.queries: Values = np.zeros((config.rows, cols))
        self.waiting: list[_Tile] = []
        self.running_max: Values = np.full(cols, -np.inf)
        self.maximum_in_use: Values = np.full(cols, -np.inf)
        """of the weights that were made last"""
        self.row_sum: Values = np.zeros((1, cols))
        self.reciprocal: Values = np.zeros(cols)

    def run(self, instruction: Matrix, scratchpad: Bits, accumulator: Values) -> None:
        """Runs an instruction on the scratchpad [rows, config.rows] and the accumulator RAM [rows, config.cols]."""
        acc = self.config.acc
        match Function(instruction.function):
            case Function.LOAD_STATIONARY:
                self.queries = self._operand(instruction, scratchpad)
            case Function.ATTN_SCORE:
                self._score(instruction, self._operand(instruction, scratchpad))
            case Function.ATTN_VALUE:
                self._value(instruction, self._operand(instruction, scratchpad), accumulator)
            case Function.ACC_RECIPROCAL:
                self.reciprocal = Reciprocal(acc, self.config.reciprocal).compute_values(self.row_sum[0])
            case Function.ATTN_LSE_NORM:
                rows = accumulator_rows(instruction, self.config)
                accumulator[rows] = add_values(accumulator[rows] * self.reciprocal, 0.0, acc)

    def _score(self, instruction: Matrix, keys: Values) -> None:
        # rows enter reversed: a sum meets the last element first, in row 0, and a fold begins with the last
        scores = golden.fold(keys.T[:, :, None], self.queries[::-1, None, :], self.config)
        ascending = scores[::-1]
        if instruction.causal:
            golden.mask_later(ascending[None], range(1))
        if instruction.hidden:
            golden.hide_last(ascending, instruction.hidden)
        start = np.full(self.config.cols, -np.inf) if instruction.zero else self.running_max
        self.running_max = golden.running_max(scores[None], start)[1][-1]
        self.waiting.append(_Tile(scores, self.running_max, bool(instruction.zero),
                                  accumulator_rows(instruction, self.config)))

    def _value(self, instruction: Matrix, values: Values, accumulator: Values) -> None:
        config, tile = self.config, self.waiting.pop(0)
        old = np.full(config.cols, -np.inf) if tile.first else self.maximum_in_use
        self.maximum_in_use = tile.maximum
        factor = golden.rescale_factor(old[None], tile.maximum[None], config, self.scale)[0]
        # row 0 last, where a fold begins
        weights = golden.exp_weights(tile.scores[None], tile.maximum[None], config, self.scale)[0][::-1]
        sums = golden.fold(np.ones((config.rows, 1)), weights, config)[None]
        weighted = golden.fold(values.T[:, :, None], weights[:, None, :], config)
        rows = accumulator_rows(instruction, config)
        for where, zero, addend in ((tile.sums, tile.first, sums), (rows, instruction.zero, weighted)):
            before = np.zeros_like(addend) if zero else accumulator[where]
            accumulator[where] = add_values(before * factor, addend, config.acc)
        self.row_sum = accumulator[tile.sums]

    def _operand(self, instruction: Matrix, scratchpad: Bits) -> Values:
        """The scratchpad rows that the instruction reads, in their order."""
        return decode(scratchpad[scratchpad_rows(instruction, self.config)], self.config.elem)
