"""A module by itself: with stubs, ports and nothing inside, in place of what it instantiates.

A tool that elaborates the whole of a large array takes minutes and gigabytes for what is one module many times over.
"""

from __future__ import annotations

import re

__all__ = ["stub"]

_HEADER = re.compile(r"^module \w+ \(.*?\);$", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"^(?:input|output) [^\n]*;$", re.MULTILINE)


def stub(text: str) -> str:
    """A module's text without its inside. Verilator is told that its outputs are undriven on purpose."""
    header = _HEADER.search(text)
    if header is None:
        raise ValueError("no module header")
    ports = "\n".join(_PORT.findall(text))
    inside = f"{header[0]}\n{ports}\nendmodule"
    return f"`timescale 1ns/10ps\n/* verilator lint_off UNDRIVEN */\n{inside}\n/* verilator lint_on UNDRIVEN */\n"
