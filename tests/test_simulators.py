"""The cycle simulator against MyHDL's own, shared analysis against plain elaboration, and the signals' bounds."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from myhdl import Signal, delay, instance, intbv
from myhdl._block import _Block

from myhdl_fsa.config import Config
from myhdl_fsa.elaboration import always, always_comb, block, shared_analysis
from myhdl_fsa.engine import Watch
from myhdl_fsa.signals import BitSignal, UnsignedSignal, unsigned
from myhdl_fsa.sims.core_bench import CorePorts, CoreRun, attention_run, core_bench, watched_core
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.sims.direct import direct
from myhdl_fsa.sims.event_driven import clocked, event_driven
from myhdl_fsa.workbench.workload import generate

CONFIG = Config()


def named_signals(top: Any) -> dict[str, Any]:
    """Every signal of a hierarchy once, by the first place that names it."""
    found: dict[str, Any] = {}
    known: set[int] = set()

    def visit(place: str, part: Any) -> None:
        memories = {f"{name}[{index}]": signal for name, memory in part.memdict.items()
                    for index, signal in enumerate(memory.mem)}
        for name, signal in {**part.sigdict, **memories}.items():
            if id(signal) not in known:
                known.add(id(signal))
                found[f"{place}.{name}"] = signal
        for index, sub in enumerate(part.subs):
            if isinstance(sub, _Block):
                visit(f"{place}.{sub.func.__name__}{index}", sub)

    visit("", top)
    return found


def short_run(causal: bool) -> CoreRun:
    work = generate(CONFIG, 4, 8, seed=3, distribution="fa3")
    return attention_run(work.q, work.k, work.v, CONFIG, causal, Watch(trace=True))


@block
def logged_bench(run: CoreRun, clock: Any, log: list[list[int]], names: list[str]) -> Any:
    """The bench, and the value of every signal in it before every rising edge."""
    bench = core_bench(run, clock, partial(watched_core, run=run))
    signals = named_signals(bench)
    signals = {name: signal for name, signal in signals.items() if signal is not clock}
    names.extend(signals)

    @always(clock.posedge)
    def watch() -> None:
        log.append([int(signal) for signal in signals.values()])

    return watch, bench


@pytest.mark.parametrize("causal", [False, True])
def test_cycle_simulator_equals_myhdls_own_signal_for_signal(causal) -> None:
    runs, logs, names = [], [], []
    for event in (False, True):
        run, log, found = short_run(causal), [], []
        clock = unsigned(1)
        if event:
            event_driven(clocked(logged_bench, clock, run, clock, log, found))
        else:
            CycleSimulator(logged_bench(run, clock, log, found)).run()
        runs.append(run)
        logs.append(np.array(log, dtype=object))
        names.append(found)
    ours, theirs = runs
    assert names[0] == names[1]
    assert len(names[0]) > 300
    # whether the log is written before the bench stops in the last cycle is a matter of the order of processes
    assert abs(len(logs[0]) - len(logs[1])) <= 1
    cycles = ours.cycle - 1
    logs = [log[:cycles] for log in logs]
    assert logs[0].shape == logs[1].shape == (cycles, len(names[0]))
    different = np.argwhere(logs[0] != logs[1])
    assert len(different) == 0, f"cycle {different[0][0]}: {names[0][different[0][1]]}"
    # and they did something
    moved = (logs[0] != logs[0][0]).any(axis=0)
    assert moved.sum() > 200
    assert (ours.cycles, ours.cycle, ours.issued, ours.overlap) == (theirs.cycles, theirs.cycle, theirs.issued,
                                                                     theirs.overlap)
    np.testing.assert_array_equal(ours.result(), theirs.result())
    traces = ours.captured.trace, theirs.captured.trace
    assert traces[0].keys() == traces[1].keys()
    for name in traces[0]:
        np.testing.assert_array_equal(traces[0][name], traces[1][name], err_msg=name)


# elaboration


def structure(top: Any) -> list[Any]:
    """Blocks and processes in order, with what they are sensitive to, read and drive, by signals' places."""
    places = {id(signal): place for place, signal in named_signals(top).items()}

    def place(value: Any) -> Any:
        if isinstance(value, list):
            return [place(item) for item in value]
        signal = getattr(value, "sig", value)  # an edge has its signal
        return type(value).__name__, places.get(id(signal), "unnamed")

    def visit(part: Any) -> list[Any]:
        if isinstance(part, _Block):
            return [part.func.__name__, sorted(part.sigdict), sorted(part.memdict), [visit(sub) for sub in part.subs]]
        return [
            type(part).__name__, part.func.__code__, [place(signal) for signal in part.senslist],
            sorted(part.inputs), sorted(part.outputs), sorted(part.inouts), part.embedded_func,
            {name: place(signal) for name, signal in part.sigdict.items()},
            {name: place(signals) for name, signals in part.losdict.items()},
            {name: place(value) for name, value in part.symdict.items() if id(value) in places},
        ]

    return visit(top)


@pytest.mark.parametrize("config", [CONFIG, Config(reciprocal="division")], ids=("newton", "division"))
def test_shared_analysis_elaborates_the_same(config) -> None:
    def build() -> Any:
        return watched_core(unsigned(1), CorePorts(config), short_run(False))

    plain = structure(build())
    with shared_analysis():
        shared = structure(build())
    assert shared == plain
    # outside of it again: this one is analysed in full
    assert structure(build()) == plain


def test_shared_analysis_tells_a_signal_from_a_constant() -> None:
    """One definition, three kinds of what its name refers to: only a signal belongs to the sensitivity list."""
    @block
    def double(out: Any, source: Any) -> Any:
        @always_comb
        def compute() -> None:
            out.next = int(source) * 2 if not isinstance(source, list) else int(source[0]) * 2

        return compute

    with shared_analysis():
        first, signal, second = unsigned(8), unsigned(4, 3), unsigned(4, 5)
        made = [double(first, signal), double(unsigned(8), second)]
    assert [list(part.subs[0].senslist) for part in made] == [[signal], [second]]
    for part in made:
        CycleSimulator(part).start()
    assert int(first) == 6


# what the cycle simulator cannot simulate


@block
def counter(clock: Any, count: Any) -> Any:
    @always(clock.posedge)
    def step() -> None:
        count.next = (int(count) + 1) & 7

    return step


def test_cycle_simulator_counts() -> None:
    count = unsigned(3)
    simulator = CycleSimulator(counter(unsigned(1), count))
    simulator.start()
    seen = []
    for _ in range(10):
        seen.append(int(count))
        simulator.edge()
    assert seen == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]


@block
def two_clocks(clocks: Any) -> Any:
    return counter(clocks[0], unsigned(3)), counter(clocks[1], unsigned(3))


def test_two_clocks() -> None:
    with pytest.raises(TypeError, match="^step is not clocked by the one clock of the block$"):
        CycleSimulator(two_clocks([unsigned(1), unsigned(1)]))


@block
def process_of(kind: str, clock: Any, out: Any, source: Any) -> Any:
    if kind == "falling edge":
        @always(clock.negedge)
        def process() -> None:
            out.next = source
    elif kind == "delay":
        @always(delay(1))
        def process() -> None:
            out.next = source
    elif kind == "generator":
        @instance
        def process():
            yield clock.posedge
            out.next = source
    elif kind == "two edges":
        @always(clock.posedge, source.posedge)
        def process() -> None:
            out.next = 1
    else:
        @always_comb
        def process() -> None:
            out.next = source
    return process


@pytest.mark.parametrize("kind, message", [
    ("falling edge", "process is neither clocked nor combinational"),
    ("delay", "process is neither clocked nor combinational"),
    ("generator", "process is neither clocked nor combinational"),
    ("two edges", "process is not clocked by the one clock of the block"),
])
def test_other_processes(kind, message) -> None:
    with pytest.raises(TypeError, match=f"^{message}$"):
        CycleSimulator(process_of(kind, unsigned(1), unsigned(1), unsigned(1)))


@pytest.mark.parametrize("source", [Signal(False), Signal(intbv(0)[4:])], ids=("bit", "word"))
def test_a_signal_of_myhdl_itself(source) -> None:
    with pytest.raises(TypeError, match="^process reads a signal that is not from myhdl_fsa.signals$"):
        CycleSimulator(process_of("combinational", unsigned(1), unsigned(4), source))


def test_an_exception_in_a_process_reaches_the_caller_and_leaves_nothing_pending() -> None:
    count = unsigned(3)

    @block
    def failing(clock: Any) -> Any:
        @always(clock.posedge)
        def step() -> None:
            count.next = 5
            raise ZeroDivisionError

        return step

    with pytest.raises(ZeroDivisionError):
        CycleSimulator(failing(unsigned(1))).run()
    CycleSimulator.settle()
    assert int(count) == 0


# signals


def test_widths() -> None:
    assert isinstance(unsigned(1), BitSignal)
    assert isinstance(unsigned(2), UnsignedSignal)
    assert int(unsigned(8, 200)) == 200
    assert len(unsigned(8)) == 8


@pytest.mark.parametrize("width, value", [(4, 16), (4, -1), (4, 1 << 70), (32, 1 << 32), (2, 4)])
def test_a_value_that_does_not_fit(width, value) -> None:
    signal = unsigned(width)
    with pytest.raises(ValueError, match=f"^{value} does not fit a signal of {width} bits$"):
        signal.next = value
    assert int(signal.next) == 0


@pytest.mark.parametrize("value", [2, -1])
def test_a_value_that_is_no_bit(value) -> None:
    with pytest.raises(ValueError, match=f"^{value} does not fit a signal of 1 bit$"):
        unsigned(1).next = value


def test_a_wider_signals_value_that_does_not_fit() -> None:
    narrow, wide = unsigned(4), unsigned(8, 16)
    with pytest.raises(ValueError, match="16 does not fit"):
        narrow.next = wide
    with pytest.raises(ValueError, match="does not fit a signal of 1 bit"):
        unsigned(1).next = wide


@pytest.mark.parametrize("value", [11, True, intbv(11)[8:], Signal(intbv(11)[8:]), unsigned(4, 11), unsigned(1, 1)])
def test_values_of_every_kind(value) -> None:
    signal = unsigned(4)
    signal.next = value
    CycleSimulator.settle()
    assert int(signal) == int(value)


@pytest.mark.parametrize("value", [1, True, intbv(1)[1:], unsigned(1, 1), Signal(True), unsigned(4, 1)])
def test_bits_of_every_kind(value) -> None:
    signal = unsigned(1)
    signal.next = value
    CycleSimulator.settle()
    assert bool(signal) is True


@block
def accesses(clock: Any, source: Any, flag: Any, narrow: Any, wide: Any, out: Any, bit: Any, other: Any) -> Any:
    """Every way to read and to write a signal that ``direct`` knows."""

    @always(clock.posedge)
    def process() -> None:
        value = int(source)
        wide.next = value
        out.next = source
        bit.next = flag
        other.next = 1
        if flag and not source == 3:
            other.next = 0
            wide.next = value + 200 * int(flag)
        if value == 1:
            narrow.next = source[2:]
        elif source > 100:
            bit.next = source > narrow
            narrow.next = value

    return process


@pytest.mark.parametrize("flag", [0, 1])
@pytest.mark.parametrize("value", [0, 1, 3, 101, 255])
def test_direct_access_is_what_the_signals_do(value, flag) -> None:
    results = []
    for compiled in (False, True):
        signals = [unsigned(8, value), unsigned(1, flag), *(unsigned(width) for width in (2, 9, 8, 1, 1))]
        (process,) = accesses(unsigned(1), *signals).subs
        run = direct(process.func) if compiled else process.func
        assert (run is process.func) != compiled
        try:
            run()
            said = ""
        except ValueError as error:
            said = str(error)
            line = error.__traceback__.tb_next.tb_lineno
            said += f" in line {line}"
        CycleSimulator.settle()
        results.append((said, [int(signal) for signal in signals], [type(signal.val) for signal in signals]))
    assert results[0] == results[1]
    assert ("does not fit" in results[0][0]) == (value > 100)


def test_what_names_no_signal_is_not_compiled_again() -> None:
    items: list[int] = []

    def process() -> None:
        items.append(1)

    assert direct(process) is process
    assert direct(items.clear) == items.clear
