"""Surfer's command file of a waveform: the groups, with floats in the formats that Surfer knows.

Commands work on the item in focus, which ``item_focus`` names by its place among those that are visible. Without a
focus ``variable_add`` adds at the end; with one, after it and in its group, and the new item has the focus.
``group_marked`` puts the item in focus into a new group in its place. Surfer knows groups from 0.4 on.
"""

from __future__ import annotations

from collections.abc import Iterable

from myhdl_fsa.arithmetic.formats import BF16, E5M2, FP16, FP32
from myhdl_fsa.sims.wave_contents import DECIMAL, SIGNED
from myhdl_fsa.sims.wave_values import CODES, FLAGS
from myhdl_fsa.sims.wave_view import Section, Signal

__all__ = ["FORMATS", "MARK", "text"]

MARK = "# Written by myhdl-fsa beside the waveform, and anew with each. Remove this line to keep changes."
"""the first line"""
FORMATS: dict[str, tuple[str, int]] = {
    FP16.name: ("FP: 16-bit IEEE 754", FP16.width),
    BF16.name: ("FP: bfloat16", BF16.width),
    FP32.name: ("FP: 32-bit IEEE 754", FP32.width),
    E5M2.name: ("FP: 8-bit (E5M2)", E5M2.width),
}
"""Surfer's formats by ours, and the widths that they take. Its E4M3 is OCP's, without Inf: ours would look finite."""


def text(sections: Iterable[Section]) -> str:
    """The commands for a waveform that is loaded."""
    writer = _Writer()
    for section in sections:
        writer.write(section)
    return "\n".join([MARK, *writer.lines, "item_unfocus"]) + "\n"


class _Writer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self._visible = 0
        """items that are"""

    def write(self, section: Section) -> None:
        """A group at the end."""
        self.lines.append("item_unfocus")
        place = self._visible
        self._write(section, [])
        if not section.open:
            self._fold(place)

    def _write(self, section: Section, around: list[str]) -> None:
        """A group where the next variable would be added, its groups folded; ``around`` are the titles of new groups
        that it is the first of.
        """
        titles = [*around, section.title]
        for signal in section.signals:
            self._add(signal, titles)
            titles = []
        for inner in section.sections:
            place = self._visible + len(titles)
            self._write(inner, titles)
            titles = []
            # what comes after a folded group is beside it
            self._fold(place)
            self._focus(place)

    def _add(self, signal: Signal, titles: list[str]) -> None:
        """A variable, in new groups one in the other, if there are titles."""
        place = self._visible
        self._visible += 1
        self.lines.append(f"variable_add {signal.path}")
        if titles:
            self._focus(place)
        shown = _format(signal)
        if shown is not None:
            self.lines.append(f"item_set_format {shown}")
        for depth, title in enumerate(titles, 1):
            self.lines.append(f"group_marked {title}")
            self._visible += 1
            self._focus(place + depth)

    def _fold(self, place: int) -> None:
        self._focus(place)
        self.lines.append("group_fold_recursive")
        self._visible = place + 1

    def _focus(self, place: int) -> None:
        # hexadecimal in the letters a to p
        letters = "".join(chr(ord("a") + int(digit, 16)) for digit in f"{place:x}")
        self.lines.append(f"item_focus {letters}")


def _format(signal: Signal) -> str | None:
    if signal.kind in FLAGS:
        return "Binary"
    if signal.kind in CODES or signal.kind == DECIMAL:
        return "Unsigned"
    if signal.kind == SIGNED:
        return "Signed"
    name, width = FORMATS.get(signal.kind or "", ("", 0))
    return name if width == signal.width else None
