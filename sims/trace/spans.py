"""When each instruction of a kernel is at work, and which values the loads bring."""

from __future__ import annotations

from collections import defaultdict, deque

from myhdl_fsa.dataflows import part
from myhdl_fsa.isa import Dma, Function, Matrix, Transfer
from myhdl_fsa.kernel.context import Kernel
from myhdl_fsa.kernel.flash_attention import tensor_at
from myhdl_fsa.kernel.legality import accumulator_rows, memory_rows, scratchpad_rows
from myhdl_fsa.kernel.tensor import element_bytes
from myhdl_fsa.sims.trace.names import Name, Row, Speaker
from myhdl_fsa.trace.contents import Instruction

__all__ = ["Spans"]


class Spans:
    """Gathers the first and the last cycle of every instruction of a kernel of ``attention_kernel``.

    Instructions of one function begin in the order of the program, and so do the loads and the stores of one row.
    """

    def __init__(self, kernel: Kernel, speak: Speaker) -> None:
        self.cycle = 0
        """the cycle that the others mean"""
        self._kernel, self._speak = kernel, speak
        self._spans: dict[int, list[int]] = {}
        self._what: dict[int, str] = {}
        self._matrix: dict[int, list[int]] = defaultdict(list)
        self._begun: dict[int, int] = defaultdict(int)
        self._writes: dict[int, deque[tuple[int, int]]] = defaultdict(deque)
        self._stores: list[int] = []
        self._reads: dict[int, deque[int]] = defaultdict(deque)
        for number, item in enumerate(kernel.instructions):
            match item:
                case Matrix():
                    self._matrix[item.function].append(number)
                case Dma(function=Transfer.LOAD):
                    places = zip(scratchpad_rows(item, kernel.config).tolist(), memory_rows(item).tolist(), strict=True)
                    for row, address in places:
                        self._writes[row].append((number, address))
                case Dma():
                    self._stores.append(number)
                    for row in accumulator_rows(item, kernel.config).tolist():
                        self._reads[row].append(number)

    @property
    def begun(self) -> bool:
        """Whether any instruction has."""
        return bool(self._spans)

    def next_of(self, function: int) -> Matrix | None:
        """The instruction of the function that begins next; None after the last one."""
        numbers, begun = self._matrix[function], self._begun[function]
        found = self._kernel.instructions[numbers[begun]] if begun < len(numbers) else None
        assert found is None or isinstance(found, Matrix)
        return found

    def begin(self, function: int, after: int, about: Name | None = None) -> None:
        """The next instruction of a function begins so many cycles after this one; it reads a tile of ``about``."""
        number, place = self._matrix[function][self._begun[function]], self._begun[function]
        self._begun[function] += 1
        self._spans[number] = [self.cycle + after] * 2
        self._what[number] = f"query tile {place}" if about is None else self._speak.tile(about)

    def end(self, function: int, after: int) -> None:
        """The last one that began ends so many cycles after this one."""
        self._spans[self._matrix[function][self._begun[function] - 1]][1] = self.cycle + after

    def written(self, row: int) -> Row:
        """What the next write to a row of the scratchpad brings, which is now."""
        number, address = self._writes[row].popleft()
        names = _values(self._kernel, address)
        self._at_work(number, names[0])
        return names

    def read(self, row: int) -> None:
        """The next read of a row of the accumulator RAM by a store is now."""
        number = self._reads[row].popleft()
        self._at_work(number, None)

    def _at_work(self, number: int, about: Name | None) -> None:
        if number not in self._spans:
            self._spans[number] = [self.cycle] * 2
            self._what[number] = f"O tile {self._stores.index(number)}" if about is None else self._speak.tile(about)
        self._spans[number][1] = self.cycle

    def instructions(self) -> tuple[Instruction, ...]:
        """Those that have begun, in the order of the program."""
        found = []
        for number, (first, last) in sorted(self._spans.items()):
            item = self._kernel.instructions[number]
            if isinstance(item, Matrix):
                name, unit = Function(item.function).name, "array"
            else:
                assert isinstance(item, Dma)
                name, unit = Transfer(item.function).name, Transfer(item.function).name.lower()
            found.append(Instruction(number, name, unit, self._what[number], first, last))
        return tuple(found)


def _values(kernel: Kernel, address: int) -> Row:
    """The names of a scratchpad row's values, which lie in memory from ``address`` on."""
    kind, tensor = tensor_at(kernel, address)
    transposed = {"Q": part(kernel.config, "kernel").QUERIES_TRANSPOSED, "K": False, "V": True}[kind]
    row, column = divmod((address - tensor.extent[0]) // element_bytes(tensor.format), tensor.shape[1])
    places = [(row, column + lane) for lane in range(kernel.config.rows)]
    return tuple(Name(kind, place[::-1] if transposed else place) for place in places)
