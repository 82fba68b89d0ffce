"""The processing element: a multiply-adder, one elem register, and a path in each of three directions."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.scalar import multiply_adder, rounder
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.control import PE_BIT
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.signals import unsigned

__all__ = ["pe"]


@block
def pe(
    clock: Any,
    reset: Any,
    control: Any,
    left: Any,
    above: Any,
    below: Any,
    control_out: Any,
    right: Any,
    down: Any,
    up: Any,
    config: Config,
    probe: dict[str, Any] | None = None,
) -> Any:
    """One PE; every output is a register, so each hop takes one cycle.

    Ports
        control      in   9 bits    ``control.PE_SIGNALS``; moves on to ``control_out``
        left         in   elem      from the PE to the left, or the edge
        above, below in   acc       from the PE (or comparator) above, and the PE below
        right        out  elem      ``left`` under flow_lr; the old register under load_reg_li
        down         out  acc       the result under mac + acc_ui; otherwise ``above`` under flow_ud
        up           out  acc       the result under mac alone; otherwise ``below`` under flow_du

    The register takes ``left`` (load_reg_li), the low bits of ``above`` (load_reg_ui), the elem-rounded result
    (update_reg), or 2**register once the intercept of its own piece passes by (exp2). Reset clears control and
    ``exp2_done``. Source: docs/specification.md section 3.
    """
    elem, acc = config.elem, config.acc
    register = unsigned(elem.width)
    exp2_done = unsigned(1)

    multiply_add = multiply_adder(elem, acc, config.exp2_pieces)
    round_acc, round_elem = rounder(elem, acc, acc), rounder(elem, acc, elem)

    elem_width = elem.width
    mac, acc_ui, update_reg, exp2 = (PE_BIT[name] for name in ("mac", "acc_ui", "update_reg", "exp2"))
    load_reg_li, load_reg_ui = PE_BIT["load_reg_li"], PE_BIT["load_reg_ui"]
    flow_lr, flow_ud, flow_du = PE_BIT["flow_lr"], PE_BIT["flow_ud"], PE_BIT["flow_du"]
    arithmetic = mac | update_reg | exp2
    loads = load_reg_li | load_reg_ui

    @always(clock.posedge)
    def registers() -> None:
        bits = int(control)
        control_out.next = bits
        if bits != 0:
            if (bits & flow_lr) != 0:
                right.next = left
            if (bits & flow_ud) != 0:
                down.next = above
            if (bits & flow_du) != 0:
                up.next = below
            if (bits & exp2) == 0:
                exp2_done.next = 0
            if (bits & arithmetic) != 0:
                addend = int(below)
                if (bits & acc_ui) != 0:
                    addend = int(above)
                raw = multiply_add(int(register), int(left), addend, bits & exp2)
                if (bits & mac) != 0:
                    result = round_acc(raw)
                    if (bits & acc_ui) != 0:
                        down.next = result
                    else:
                        up.next = result
                writes = bits & update_reg
                if (bits & exp2) != 0 and (raw & 1) != 0 and writes == 0:
                    # the result may lie in a later piece itself: only the first hit counts
                    exp2_done.next = 1
                    if not exp2_done:
                        writes = 1
                if writes != 0:
                    register.next = round_elem(raw)
            if (bits & loads) != 0:
                if (bits & load_reg_li) != 0:
                    right.next = register
                    register.next = left
                else:
                    register.next = above[elem_width:]
        if reset:
            control_out.next = 0
            exp2_done.next = 0

    if probe is not None:
        probe.setdefault("pe_register", []).append(register)
        probe.setdefault("pe_control", []).append(control)
    return registers
