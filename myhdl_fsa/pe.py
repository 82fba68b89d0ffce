"""The processing element: a multiply-adder, one elem register, and a path in each of three directions."""

from __future__ import annotations

from typing import Any

from myhdl import always, block

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.mac import mac
from myhdl_fsa.config import Config
from myhdl_fsa.control import PE_BIT
from myhdl_fsa.signals import unsigned


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
    (update_reg), or 2**register once the intercept of its own piece passes by (exp2). Reset clears control only.
    Source: spec section 3.
    """
    elem, acc = config.elem, config.acc
    elem_width = elem.width
    register = unsigned(elem.width)
    exp2_done = unsigned(1)
    acc_result = unsigned(acc.width)
    elem_result = unsigned(elem.width)
    hit = unsigned(1)

    multiply_add = mac(
        register, left, above, below, control, acc_result, elem_result, hit,
        mul=elem, add=acc, elem=elem, exp2=Exp2(elem, acc, config.exp2_pieces), streamed=True,
    )

    take_sum, from_above = PE_BIT["mac"], PE_BIT["mac"] | PE_BIT["acc_ui"]
    update_reg, exp2 = PE_BIT["update_reg"], PE_BIT["exp2"]
    load_reg_li, load_reg_ui = PE_BIT["load_reg_li"], PE_BIT["load_reg_ui"]
    flow_lr, flow_ud, flow_du = PE_BIT["flow_lr"], PE_BIT["flow_ud"], PE_BIT["flow_du"]

    @always(clock.posedge)
    def registers() -> None:
        bits = int(control)
        if reset:
            control_out.next = 0
        else:
            control_out.next = bits
        if bits != 0:
            if (bits & load_reg_li) != 0:
                register.next = left
                right.next = register
            elif (bits & flow_lr) != 0:
                right.next = left
            if (bits & load_reg_ui) != 0:
                register.next = above[elem_width:]
            if (bits & exp2) != 0:
                if hit:
                    # after the result, a later piece may match it: take only the first
                    exp2_done.next = 1
                    if not exp2_done:
                        register.next = elem_result
            else:
                exp2_done.next = 0
                if (bits & update_reg) != 0:
                    register.next = elem_result
            if (bits & from_above) == from_above:
                down.next = acc_result
            elif (bits & flow_ud) != 0:
                down.next = above
            if (bits & from_above) == take_sum:
                up.next = acc_result
            elif (bits & flow_du) != 0:
                up.next = below

    if probe is not None:
        probe.setdefault("pe_register", []).append(register)
        probe.setdefault("pe_control", []).append(control)
    return multiply_add, registers
