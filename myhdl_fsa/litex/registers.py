"""The device's registers as LiteX's CSRs, for csr.json, csr.csv and csr.h; the hardware has them already."""

from __future__ import annotations

from litex.soc.interconnect.csr import CSRStatus, CSRStorage

from myhdl_fsa.frontend.registers import Register
from myhdl_fsa.workbench.c_header.attribute_docs import attribute_docs

__all__ = ["WORD_BYTES", "csrs", "is_read_only"]

WORD_BYTES = 4


def csrs() -> list[CSRStatus | CSRStorage]:
    """A CSR for every register, in the order of their offsets; one that is only read is a CSRStatus."""
    found: list[CSRStatus | CSRStorage] = []
    for register in sorted(Register):
        # LiteX gives CSRs their addresses one after the other
        if register != len(found) * WORD_BYTES:
            raise ValueError(f"register {register.name} at {register:#x}: must follow the one before it")
        kind = CSRStatus if is_read_only(register) else CSRStorage
        found.append(kind(8 * WORD_BYTES, name=register.name.lower(), description=_docs()[register.name]))
    return found


def is_read_only(register: Register) -> bool:
    """Whether a write to it is refused."""
    meaning = _docs()[register.name]
    return meaning.startswith("read:") and "write" not in meaning


def _docs() -> dict[str, str]:
    return attribute_docs(Register)
