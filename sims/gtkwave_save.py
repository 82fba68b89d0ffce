"""GTKWave's save file of a waveform: the groups, with floats, codes and control bits as text.

The texts come from ``fsa-wave-value``, which GTKWave starts as a translate filter process, one a kind, if it is on the
path; without it the values stay hexadecimal.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable

from vcd.gtkw import GTKWSave

from myhdl_fsa.sims.wave_contents import DECIMAL, SIGNED
from myhdl_fsa.sims.wave_scopes import PERIOD
from myhdl_fsa.sims.wave_view import Section, Signal

__all__ = ["FILTER", "MARK", "text"]

FILTER = "fsa-wave-value"
"""the command that is the filter"""
MARK = "[*] Written by myhdl-fsa beside the waveform, and anew with each. Save yours under another name."
"""the first line; a file that GTKWave saved begins with another"""
_ZOOM = -4.5
"""200 pixels are 2**-_ZOOM nanoseconds: a cycle is 88 pixels, in which a number fits"""

_NUMBERS = {DECIMAL: "dec", SIGNED: "signed"}
"""kinds that GTKWave shows by itself"""


def text(sections: Iterable[Section], dump: str, save: str, top: str, first_cycle: int = 0) -> str:
    """The save file's text; ``dump`` and ``save`` are the names of the waveform and of the file, in one folder.

    GTKWave looks for the waveform beside the save file, wherever that is.
    """
    file = io.StringIO()
    writer = GTKWSave(file)
    print(MARK, file=file)
    # only with both names does it know that they are relative to the save file
    writer.dumpfile(dump, abspath=False)
    writer.savefile(save, abspath=False)
    writer.timestart(first_cycle * PERIOD)
    writer.size(1600, 1000)
    writer.zoom_markers(_ZOOM)
    writer.treeopen(top)
    writer.signals_width(330)
    writer.sst_expanded(True)
    for section in sections:
        _write(writer, section)
    return file.getvalue()


def _write(writer: GTKWSave, section: Section) -> None:
    last = Counter(signal.path.split(".")[-1] for signal in section.signals)
    with writer.group(section.title, closed=not section.open):
        for signal in section.signals:
            # the name alone, or with the block's where several blocks have it; GTKWave cuts off all before a point
            parts = signal.path.split(".")
            _trace(writer, signal, " ".join(parts[-1:] if last[parts[-1]] == 1 else parts[-2:]))
        for inner in section.sections:
            _write(writer, inner)


def _trace(writer: GTKWSave, signal: Signal, shown: str) -> None:
    name = signal.path if signal.width == 1 else f"{signal.path}[{signal.width - 1}:0]"
    if signal.kind is None or signal.kind in _NUMBERS:
        writer.trace(name, shown, datafmt=_NUMBERS.get(signal.kind or "", "bin" if signal.width == 1 else "hex"))
    else:
        writer.trace(name, shown, translate_filter_proc=f"{FILTER} {signal.kind}")
