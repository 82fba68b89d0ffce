"""The signals that a waveform's save files show, declared in groups, for each dataflow and top.

Paths are those below the core's scope, or the device's. ``{row}``, ``{column}``, ``{port}`` and ``{semaphore}`` stand
for every row, column, memory port and semaphore: a signal with one comes once for each; a group whose title has one
does so itself.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CORE", "DEVICE", "FEW", "FEW_LINES", "FEW_ROWS", "Group"]

FEW = 16
"""rows or columns up to which each PE is shown; above, column 0 of each row is"""
FEW_ROWS = 4
"""times up to which a group that comes several times is open"""
FEW_LINES = 24
"""signals, or groups, up to which a group is open"""


@dataclass(frozen=True)
class Group:
    """Signals and groups below a title, a name without spaces."""

    title: str
    signals: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    open: bool = True
    """when the viewer starts, if it has few lines and comes few times"""


_CLOCK = Group("clock", ("clock", "reset"))
_INSTRUCTION = Group("instruction", (
    *(f"matrix_controller.instruction_{name}" for name in ("valid", "ready", "function")), "matrix_controller.busy",
), (
    Group("operands", tuple(f"matrix_controller.instruction_{name}" for name in (
        "scratchpad_row", "scratchpad_stride", "accumulator_row", "accumulator_stride", "zero", "causal", "hidden",
        "wait_idle", "semaphore", "release", "release_value")), open=False),
    Group("releases", tuple(f"matrix_controller.release_{name}" for name in ("valid", "semaphore", "value")),
          open=False),
))
_ACCUMULATOR_RAM = Group("accumulator_ram", tuple(f"accumulator_ram.{name}" for name in (
    "read", "read_row", "read_data", "write", "write_row", "write_data")), open=False)
_ROW_LEFT, _CORNER = "systolic.pe_row_{row}.left", "systolic.pe_row_0.pe_0."
_FUNCTIONS = ("load_stationary", "attn_score", "attn_value", "acc_reciprocal", "attn_lse_norm")
_PE_BITS = ("mac", "acc_ui", "update_reg", "exp2", "load_reg_li", "load_reg_ui", "flow_lr", "flow_ud", "flow_du")


def _rows(*registers: str, control: str) -> Group:
    """A group a row: its first PE's control, what enters it from the left, and these registers of its PEs."""
    return Group("pe_rows", groups=(
        Group("pe_row_{row}", (f"systolic.pe_row_{{row}}.pe_0.{control}", _ROW_LEFT,
                               *(f"systolic.pe_row_{{row}}.pe_{{column}}.{name}" for name in registers))),
    ))


CORE: dict[str, tuple[Group, ...]] = {
    "fsa": (
        _CLOCK,
        _INSTRUCTION,
        Group("sequencers", tuple(
            f"matrix_controller.sequencer_{side}.in_{name}" for side in (0, 1) for name in _FUNCTIONS), open=False),
        Group("control", (
            *(f"matrix_controller.control_edges_{name}" for name in (
                "read", "use_constant", "constant", "compare", "accumulator_read", "write_back", "accumulate",
                "release")),
            "systolic.parallel", "systolic.down", "systolic.up",
        ), open=False),
        Group("scratchpad", ("scratchpad.read", "scratchpad.read_row", "scratchpad.read_data", "systolic.left")),
        Group("comparators", ("systolic.comparator_0.command", "systolic.comparator_{column}.new_max")),
        _rows("register", control="control"),
        Group("first_pe", (
            *(_CORNER + name for name in ("control", *_PE_BITS, "register", "left", "above", "below", "right", "down",
                                          "up")),
        ), open=False),
        Group("accumulators", (
            "accumulator.command",
            *(f"accumulator.accumulator_unit_{{column}}.{name}" for name in ("from_array", "a", "result")),
        )),
        _ACCUMULATOR_RAM,
    ),
    "stream": (
        _CLOCK,
        _INSTRUCTION,
        Group("starts", (
            "matrix_controller.instruction_queue.queued",
            *(f"matrix_controller.start_rules.starts_{name}" for name in ("load", "score", "value")),
            "matrix_controller.start_rules.starved",
        )),
        Group("control", tuple(f"matrix_controller.control_{name}" for name in (
            "left", "show", "compare", "hidden", "row_read", "row", "query_read", "query_row", "accumulate",
            "accumulator_row", "zero", "divide")), open=False),
        Group("scratchpad", (
            "scratchpad.read", "scratchpad.read_row", "scratchpad.read_data", "query_scratchpad.read",
            "query_scratchpad.read_row", "query_scratchpad.read_data", "systolic.left", "systolic.queries",
        )),
        Group("comparators", ("systolic.comparator_0.command", "systolic.comparator_{column}.running")),
        _rows("query", "weight", control="operation"),
        Group("first_pe", (
            *(_CORNER + name for name in (
                "operation", *(f"operation_{name}" for name in ("qk", "pass", "sub", "scale", "exp", "pv")),
                "latch_p", "latch_q", "query", "weight", "left", "above", "right", "down", "below", "up")),
        ), open=False),
        Group("accumulators", (
            "accumulator.command", "accumulator.divide",
            *(f"accumulator.accumulator_unit_{{column}}.{name}" for name in (
                "from_array", "rescale", "row_sum", "reciprocal", "result")),
        )),
        _ACCUMULATOR_RAM,
    ),
}
"""by dataflow; paths below the core's scope"""


def _queue(name: str) -> tuple[str, ...]:
    return (f"{name}.enter_valid", f"{name}.enter_ready", f"{name}.leave_valid", f"{name}.leave_ready",
            f"{name}.count")


def _handshake(kind: str, user: str) -> tuple[str, ...]:
    parts = ("valid", "ready", "semaphore", "value") if kind == "acquire" else ("valid", "semaphore", "value")
    return tuple(f"semaphores.{kind}_{user}_{part}" for part in parts)


_USERS = ("matrix", "load", "store")

DEVICE: tuple[Group, ...] = (
    _CLOCK,
    Group("device", (
        "device_state.control_state", "device_state.active", "device_state.control_error", "device_state.stop",
        "device_state.next_number", "device_state.progress", "interrupt",
    )),
    Group("queues", (
        *_queue("word_queue"), *_queue("matrix_queue"), *_queue("dma_engine.load_queue"),
        *_queue("dma_engine.store_queue"),
    ), open=False),
    Group("semaphores", groups=tuple(
        Group(f"{kind}s_of_{user}", _handshake(kind, user), open=False)
        for user in _USERS for kind in ("acquire", "release")
    ) + (Group("states", ("semaphores.states_{semaphore}",), open=False),), open=False),
    Group("dma_loads", (
        "dma_engine.loads.active", "dma_engine.loads.requests_valid", "dma_engine.loads.requests_ready",
        "dma_engine.loads.transfer.rows_valid", "dma_engine.loads.transfer.rows_ready",
        "dma_engine.loads.transfer.rows_address", "dma_engine.loads.transfer.rows_row", "dma_engine.write_valid",
        "dma_engine.write_row", "dma_engine.write_data",
    ), (
        Group("read_port_{port}", tuple(f"memory_m{{port}}_{name}" for name in (
            "arvalid", "arready", "araddr", "arlen", "rvalid", "rready", "rlast", "rdata")), open=False),
    ), open=False),
    Group("dma_stores", (
        "dma_engine.stores.active", "dma_engine.stores.requests_valid", "dma_engine.stores.requests_ready",
        "dma_engine.stores.transfer.rows_valid", "dma_engine.stores.transfer.rows_ready",
        "dma_engine.stores.transfer.rows_address", "dma_engine.stores.transfer.rows_row", "dma_engine.read_valid",
        "dma_engine.read_ready", "dma_engine.read_row", "dma_engine.read_data",
    ), (
        Group("write_port_{port}", tuple(f"memory_m{{port}}_{name}" for name in (
            "awvalid", "awready", "awaddr", "awlen", "wvalid", "wready", "wlast", "wdata", "bvalid", "bready")),
            open=False),
    ), open=False),
)
"""of the device, before those of its core; paths below the device's scope"""
