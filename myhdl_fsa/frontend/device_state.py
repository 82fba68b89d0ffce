"""The device's state: idle, active, done or error; what made it stop; and the way back."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.frontend.decoder import Fault
from myhdl_fsa.frontend.registers import DeviceControl
from myhdl_fsa.program import ErrorCode, State
from myhdl_fsa.signals import unsigned

__all__ = ["device_state"]


@block
def device_state(
    clock: Any, reset: Any, control: DeviceControl, stop: Any, decode_fault: Fault, read_fault: Fault,
    write_fault: Fault, progress: Any, bus_busy: Any, next_number: Any, active: Any, restart: Any, stopped: Any,
    clear: Any, interrupt: Any,
) -> Any:
    """Runs the state register, the watchdog and the reset by software.

    Ports
        control       both DeviceControl: state, error, error_instruction and interrupt are driven here
        stop          in   1   a fence with stop passes
        decode_fault, read_fault, write_fault
                      in   Fault; in this order when they meet, which is the order of the program
        progress      in   1   something moved in this cycle
        bus_busy      in   1   AXI4 transactions are under way
        next_number   in   32  instructions decoded so far
        active        out  1   state 1
        restart       out  1   set active in this cycle
        stopped       out  1   start nothing: state 3
        clear         out  1   reset everything else, for one cycle, once the bus is quiet
        interrupt     out  1

    Transactions that are under way when the device stops come to their end, so that nothing is left on the bus.
    """
    idle, running, done, failed = int(State.IDLE), int(State.ACTIVE), int(State.DONE), int(State.ERROR)
    timeout = int(ErrorCode.TIMEOUT)
    resetting = unsigned(1)
    waited = unsigned(32)
    state = control.state

    @always_comb
    def outputs() -> None:
        active.next = state == running
        restart.next = bool(control.activate) and (state == idle or state == done)
        stopped.next = state == failed
        clear.next = bool(resetting) and not bus_busy
        interrupt.next = control.interrupt != 0

    @always(clock.posedge)
    def run() -> None:
        if reset or clear:
            state.next = idle
            control.error.next = 0
            control.error_instruction.next = 0
            control.interrupt.next = 0
            resetting.next = 0
            waited.next = 0
        else:
            control.interrupt.next = int(control.interrupt) & (3 ^ int(control.acknowledge))
            if control.clear:
                # state 3 until the bus is quiet, so that who reads state 0 after asking for a reset has had it
                resetting.next = 1
                state.next = failed
                control.interrupt.next = 0
            elif restart:
                state.next = running
                control.interrupt.next = 0
                waited.next = 0
            elif state == running:
                if decode_fault.valid or read_fault.valid or write_fault.valid:
                    state.next = failed
                    control.interrupt.next = 2
                    if decode_fault.valid:
                        control.error.next = decode_fault.code
                        control.error_instruction.next = decode_fault.number
                    elif read_fault.valid:
                        control.error.next = read_fault.code
                        control.error_instruction.next = read_fault.number
                    else:
                        control.error.next = write_fault.code
                        control.error_instruction.next = write_fault.number
                elif stop:
                    state.next = done
                    control.interrupt.next = 1
                elif progress:
                    waited.next = 0
                elif control.watchdog != 0:
                    if waited >= control.watchdog:
                        state.next = failed
                        control.interrupt.next = 2
                        control.error.next = timeout
                        control.error_instruction.next = next_number
                    else:
                        waited.next = int(waited) + 1

    return outputs, run
