"""The DMA's blocks in MyHDL before a memory that checks the protocol, and the same cycles in Icarus and Verilator.

As in test_frontend: a scenario holds its block against its model and gives its stimuli; ``test_in_verilog`` replays
all.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import blocks
import pytest
from blocks import Seen, interact

from myhdl_fsa.axi import BOUNDARY
from myhdl_fsa.config import Config
from myhdl_fsa.convert.regression import Dut, Stimuli, check_all
from myhdl_fsa.isa import Dma, encode
from myhdl_fsa.program import ErrorCode

SIMULATORS = ("icarus", "verilator")
Job = tuple[Callable[[], Dut], Stimuli]
SCENARIOS: dict[str, Callable[[], Job]] = {}
WRAP = 1 << 39
NOWHERE = range(0)
CONFIGS = {
    "one_beat": Config(memory_ports=4, port_inflight=4),  # a scratchpad row is one beat, an accumulator row two
    "bytes": Config(memory_ports=1, beat_bytes=1, port_inflight=1),
    "wide": Config(rows=8, cols=8, memory_ports=2, beat_bytes=4, port_inflight=3),
}
assert CONFIGS["one_beat"].beat_bytes == CONFIGS["one_beat"].scratchpad_row_bytes


# the memory


def byte_at(address: int) -> int:
    """What memory holds everywhere."""
    return (address * 0x9E3779B1 >> 7) & 0xFF


def data_at(address: int, count: int) -> int:
    return sum(byte_at((address + i) % WRAP) << 8 * i for i in range(count))


def bursts_of(address: int, size: int, beat: int) -> list[tuple[int, int]]:
    """One burst (address, beats), or two where it crosses 4 KB."""
    first = min(size, BOUNDARY - address % BOUNDARY)
    return [(address, first // beat)] + ([((address + first) % WRAP, (size - first) // beat)] if first < size else [])


class Steady:
    """What is valid stays as it is until it is ready."""

    def __init__(self, prefix: str, channel: str, *names: str) -> None:
        self.valid, self.ready = f"{prefix}{channel}valid", f"{prefix}{channel}ready"
        self.names = tuple(f"{prefix}{channel}{name}" for name in names)
        self.held: tuple[int, ...] | None = None

    def moves(self, seen: Seen) -> bool:
        now = tuple(seen[name] for name in self.names)
        if self.held is not None:
            assert seen[self.valid] and now == self.held, (self.valid, now, self.held)
        moves = bool(seen[self.valid] and seen[self.ready])
        self.held = now if seen[self.valid] and not moves else None
        return moves


class ReadMemory:
    """The other end of an AxiRead: random stalls, a response that is not OKAY at ``bad`` addresses."""

    def __init__(self, prefix: str, beat: int, rng: random.Random, bad: range = NOWHERE) -> None:
        self.prefix, self.beat, self.rng, self.bad = prefix, beat, rng, bad
        self.address = Steady(prefix, "ar", "addr", "len", "size", "burst", "id")
        self.bursts: list[tuple[int, int]] = []
        self.beats: deque[tuple[int, int]] = deque()
        self.valid, self.pace = 0, (1.0, 1.0)
        self.beats_moved = 0

    def __call__(self, cycle: int, seen: Seen) -> dict[str, int]:
        p, rng, beat = self.prefix, self.rng, self.beat
        if cycle % 60 == 0:
            self.pace = rng.choice(((1.0, 1.0), (0.1, 1.0), (1.0, 0.1), (0.5, 0.5)))
        if self.address.moves(seen):
            at, beats = seen[f"{p}araddr"], seen[f"{p}arlen"] + 1
            assert (1 << seen[f"{p}arsize"], seen[f"{p}arburst"], seen[f"{p}arid"]) == (beat, 1, 0)
            assert at % beat == 0 and at // BOUNDARY == (at + beats * beat - 1) // BOUNDARY
            self.bursts.append((at, beats))
            self.beats.extend((at + i * beat, int(i == beats - 1)) for i in range(beats))
        if self.valid and seen[f"{p}rready"]:
            self.beats.popleft()
            self.valid = 0
            self.beats_moved += 1
        if not self.valid and self.beats and rng.random() < self.pace[1]:
            self.valid = 1
        at, last = self.beats[0] if self.valid else (rng.getrandbits(39), 0)
        return {f"{p}arready": int(rng.random() < self.pace[0]), f"{p}rvalid": self.valid, f"{p}rlast": last,
                f"{p}rdata": data_at(at, beat), f"{p}rresp": 2 if self.valid and at in self.bad else 0}


class WriteMemory:
    """The other end of an AxiWrite, likewise; takes beats before their address now and then."""

    def __init__(self, prefix: str, beat: int, rng: random.Random, bad: range = NOWHERE) -> None:
        self.prefix, self.beat, self.rng, self.bad = prefix, beat, rng, bad
        self.address, self.data = Steady(prefix, "aw", "addr", "len", "size", "burst", "id"), Steady(
            prefix, "w", "data", "strb", "last")
        self.bursts: list[tuple[int, int]] = []
        self.beats: list[tuple[int, int]] = []
        self.bytes: dict[int, int] = {}
        self.stored = self.first_beat = 0
        self.due: deque[int] = deque()
        self.valid, self.pace = 0, (1.0, 1.0, 1.0)

    def __call__(self, cycle: int, seen: Seen) -> dict[str, int]:
        p, rng, beat = self.prefix, self.rng, self.beat
        if cycle % 60 == 0:
            self.pace = rng.choice(((1.0, 1.0, 1.0), (0.1, 1.0, 1.0), (1.0, 0.1, 1.0), (1.0, 1.0, 0.05),
                                    (0.5, 0.5, 0.5)))
        if self.address.moves(seen):
            at, beats = seen[f"{p}awaddr"], seen[f"{p}awlen"] + 1
            assert (1 << seen[f"{p}awsize"], seen[f"{p}awburst"], seen[f"{p}awid"]) == (beat, 1, 0)
            assert at % beat == 0 and at // BOUNDARY == (at + beats * beat - 1) // BOUNDARY
            self.bursts.append((at, beats))
        if self.data.moves(seen):
            assert seen[f"{p}wstrb"] == (1 << beat) - 1
            self.beats.append((seen[f"{p}wdata"], seen[f"{p}wlast"]))
        if self.valid and seen[f"{p}bready"]:
            self.due.popleft()
            self.valid = 0
        if self.stored < len(self.bursts):
            at, beats = self.bursts[self.stored]
            part = self.beats[self.first_beat:self.first_beat + beats]
            assert all(not last for _, last in part[:beats - 1])
            if len(part) == beats:
                assert part[-1][1]
                for index, (word, _) in enumerate(part):
                    for i in range(beat):
                        self.bytes[at + index * beat + i] = word >> 8 * i & 0xFF
                self.due.append(2 if at in self.bad else 0)
                self.stored, self.first_beat = self.stored + 1, self.first_beat + beats
        if not self.valid and self.due and rng.random() < self.pace[2]:
            self.valid = 1
        return {f"{p}awready": int(rng.random() < self.pace[0]), f"{p}wready": int(rng.random() < self.pace[1]),
                f"{p}bvalid": self.valid, f"{p}bresp": self.due[0] if self.valid else 0}


def addresses(rng: random.Random, config: Config, size: int, count: int) -> list[int]:
    """Every alignment to a boundary of 4 KB that a row can have, the last addresses, and some more."""
    beat = config.beat_bytes
    around = [BOUNDARY * 5 + offset for offset in range(-size, size + 1, beat)]
    rng.shuffle(around)
    more = [rng.getrandbits(39) // beat * beat for _ in range(count)] + [WRAP - size]
    return [*around[:count - len(more) // 2], *more][:count]


# a port


def load_port_scenario(name: str) -> Job:
    config, rng = CONFIGS[name], random.Random(name)
    size = config.scratchpad_row_bytes
    todo = [(at, rng.getrandbits(20), rng.randrange(config.load_inflight)) for at in addresses(rng, config, size, 80)]
    memory = ReadMemory("bus_", config.beat_bytes, rng)
    inside: deque[tuple[int, int, int]] = deque()
    got: list[tuple[int, int, int, int]] = []
    state = {"at": 0, "offer": 0, "most": 0}

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        inputs = memory(cycle, seen)
        if state["offer"]:
            inside.append(todo[state["at"]])
            state["at"] += 1
        if cycle > 1:
            assert state["offer"] or seen["free"] == (len(inside) < config.port_inflight)
        arrived = memory.beats_moved // (size // config.beat_bytes) - len(got) - seen["full"]
        assert arrived in (0, 1)
        if seen["full"] and seen["taken"]:
            got.append((seen["place"], seen["tag"], seen["data"], cycle))
        while len(inside) > state["at"] - memory.beats_moved // (size // config.beat_bytes):
            inside.popleft()
        state["most"] = max(state["most"], len(inside))
        state["offer"] = int(cycle > 2 and seen["free"] and not state["offer"] and state["at"] < len(todo)
                             and rng.random() < 0.8)
        address, row, tag = todo[min(state["at"], len(todo) - 1)]
        return {**inputs, "reset": int(cycle < 2), "offer": state["offer"], "rows_address": address, "rows_row": row,
                "rows_tag": tag, "taken": int(seen["full"] and not seen["taken"] and rng.random() < 0.7)}

    make = partial(blocks.load_port, config, name)
    stimuli = interact(make, 20_000, react, lambda: len(got) == len(todo))
    assert [(row, tag, data) for row, tag, data, _ in got] == [(row, tag, data_at(at, size)) for at, row, tag in todo]
    assert memory.bursts == [burst for at, _, _ in todo for burst in bursts_of(at, size, config.beat_bytes)]
    assert state["most"] == config.port_inflight
    return make, stimuli


def store_port_scenario(name: str) -> Job:
    config, rng = CONFIGS[name], random.Random(name)
    size = config.accumulator_row_bytes
    todo = [(at, rng.getrandbits(8 * size), rng.randrange(config.store_inflight))
            for at in addresses(rng, config, size, 80)]
    memory = WriteMemory("bus_", config.beat_bytes, rng)
    done: list[int] = []
    state = {"at": 0, "offer": 0, "most": 0, "checked": 0}

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        inputs = memory(cycle, seen)
        state["at"] += state["offer"]
        if seen["done"] and seen["taken"]:
            done.append(seen["done_tag"])
        if seen["done"] and len(done) >= state["checked"]:
            # not before the last response of the row
            rows_in_memory = memory.stored - len(memory.due)
            assert rows_in_memory >= sum(
                len(bursts_of(at, size, config.beat_bytes)) for at, _, _ in todo[:len(done)])
            state["checked"] = len(done)
        waiting = state["at"] - len(done) - seen["done"]
        state["most"] = max(state["most"], waiting)
        assert waiting <= config.port_inflight
        state["offer"] = int(cycle > 2 and seen["free"] and not state["offer"] and state["at"] < len(todo)
                             and rng.random() < 0.8)
        address, data, tag = todo[min(state["at"], len(todo) - 1)]
        return {**inputs, "reset": int(cycle < 2), "offer": state["offer"], "address": address, "data": data,
                "tag": tag, "taken": int(seen["done"] and not seen["taken"] and rng.random() < 0.7)}

    make = partial(blocks.store_port, config, name)
    stimuli = interact(make, 20_000, react, lambda: len(done) == len(todo))
    assert done == [tag for _, _, tag in todo]
    assert memory.bursts == [burst for at, _, _ in todo for burst in bursts_of(at, size, config.beat_bytes)]
    expected: dict[int, int] = {}
    for at, data, _ in todo:
        expected.update({(at + i) % WRAP: data >> 8 * i & 0xFF for i in range(size)})
    assert memory.bytes == expected
    assert state["most"] == config.port_inflight
    return make, stimuli


def failing_port_scenario(kind: str) -> Job:
    """Says which row was the first whose response was not OKAY, and goes on."""
    config, rng, tags = CONFIGS["wide"], random.Random(kind), [3, 5, 2, 7, 1]
    bad = range(3 * BOUNDARY, 3 * BOUNDARY + 64)
    ats = [0, BOUNDARY, 3 * BOUNDARY - 4, 3 * BOUNDARY, 0]
    memory = (ReadMemory if kind == "load" else WriteMemory)("bus_", config.beat_bytes, rng, bad)
    state = {"at": 0, "offer": 0, "ended": 0, "failed": 0}
    end = "full" if kind == "load" else "done"

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        inputs = memory(cycle, seen)
        state["at"] += state["offer"]
        state["ended"] += seen[end] & seen["taken"]
        if seen["failed"]:
            assert seen["failed_tag"] == 2
            state["failed"] = 1
        else:
            assert not state["failed"] and state["ended"] < 3
        state["offer"] = int(cycle > 2 and seen["free"] and not state["offer"] and state["at"] < len(ats))
        at = min(state["at"], len(ats) - 1)
        prefix = "rows_" if kind == "load" else ""
        row = {f"{prefix}address": ats[at], f"{prefix}tag": tags[at]}
        return {**inputs, **row, "reset": int(cycle < 2), "offer": state["offer"],
                "taken": int(seen[end] and not seen["taken"])}

    make = partial(blocks.load_port if kind == "load" else blocks.store_port, config, "wide")
    stimuli = interact(make, 700, react)
    assert state["ended"] == len(ats) and state["failed"]
    return make, stimuli


# sharing


def hand_out_scenario(count: int) -> Job:
    rng, state = random.Random(count), {"turn": 0, "moved": 0}

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        if cycle > 1:
            room = seen["free"] >> state["turn"] & 1 and not seen["hold"]
            assert seen["rows_ready"] == room
            assert seen["chosen"] == (1 << state["turn"] if room and seen["rows_valid"] else 0)
            state["moved"] += seen["chosen"] != 0
            state["turn"] = 0 if seen["reset"] else (state["turn"] + (seen["chosen"] != 0)) % count
        return {"reset": int(cycle < 2 or rng.random() < 0.01), "hold": int(rng.random() < 0.2),
                "free": rng.getrandbits(count) | rng.getrandbits(count), "rows_valid": int(rng.random() < 0.8)}

    stimuli = interact(partial(blocks.hand_out, count), 300, react)
    assert state["moved"] > 50
    return partial(blocks.hand_out, count), stimuli


def collect_scenario(count: int) -> Job:
    rng, state = random.Random(count), {"last": 0}
    waits = [0] * count

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        if cycle > 1:
            waiting = [p for p in range(count) if seen["waiting"] >> p & 1]
            best = min(waiting, key=lambda p: (p - state["last"] - 1) % count) if waiting else None
            assert seen["some"] == (best is not None)
            assert seen["picked"] == (0 if best is None else 1 << best)
            if best is not None:
                assert seen["which"] == best
                state["last"] = best
            for p in range(count):
                waits[p] = waits[p] + 1 if p in waiting and p != best and not seen["reset"] else 0
                assert waits[p] < count
            if seen["reset"]:
                state["last"] = 0
        held = seen["waiting"] & ~seen["picked"] if cycle > 1 else 0
        return {"reset": int(cycle < 2), "waiting": held | rng.getrandbits(count) & rng.getrandbits(count)}

    return partial(blocks.collect, count), interact(partial(blocks.collect, count), 300, react)


# requests


def request_word(one: Dma, number: int) -> int:
    return sum(word << 32 * index for index, word in enumerate(encode(one))) | number << 128


def random_request(rng: random.Random, config: Config, function: int) -> Dma:
    beat = config.beat_bytes
    rows, size = ((config.accumulator_rows, config.accumulator_row_bytes) if function else
                  (config.scratchpad_rows, config.scratchpad_row_bytes))
    count = rng.choice((0, 1, config.rows, rng.randint(1, config.rows)))
    stride = rng.choice((1, 1, -1, 0, 2)) if (count - 1) * 2 < rows else 1
    row = rng.randint(max(0, -stride * (count - 1)), rows - 1 - max(0, stride * (count - 1))) if count else 0
    return Dma(
        function=function, semaphore=rng.randrange(32), acquire=rng.getrandbits(1), acquire_value=rng.randrange(8),
        release=rng.getrandbits(1), release_value=rng.randrange(8), rows=count, row=row, stride=stride,
        accumulator=function,
        memory_stride=rng.choice((size, -size, 0, size + beat, rng.randrange(-2000, 2000) * beat)),
        address=rng.choice((BOUNDARY * 9, BOUNDARY * 9 - beat, rng.getrandbits(38))) // beat * beat, size=size)


def rows_of(one: Dma) -> list[tuple[int, int]]:
    """(memory address, row of the RAM) of each row."""
    return [((one.address + i * one.memory_stride) % WRAP, one.row + i * one.stride) for i in range(one.rows)]


class Requests:
    """Feeds requests and their semaphores to a block, and checks acquires and releases."""

    def __init__(self, todo: list[Dma], rng: random.Random) -> None:
        self.todo, self.rng = [*todo[:-1], replace(todo[-1], release=1)], rng
        self.sent, self.acquired, self.valid = 0, 0, 0
        self.released: list[tuple[int, int]] = []
        self.pace = 1.0

    def __call__(self, cycle: int, seen: Seen) -> dict[str, int]:
        if cycle % 100 == 0:
            self.pace = self.rng.choice((1.0, 0.3))
        if self.valid:
            one = self.todo[self.sent]
            assert not seen["acquire_valid"] or one.acquire
            if seen["acquire_valid"]:
                assert (seen["acquire_semaphore"], seen["acquire_value"]) == (one.semaphore, one.acquire_value)
            if one.acquire:
                assert seen["requests_ready"] == (seen["acquire_valid"] and seen["acquire_ready"])
            assert not (seen["stopped"] and seen["requests_ready"])
            if seen["requests_ready"]:
                self.sent, self.valid = self.sent + 1, 0
        else:
            assert not seen["acquire_valid"] and not seen["requests_ready"]
        if seen["release_valid"]:
            self.released.append((seen["release_semaphore"], seen["release_value"]))
        if not self.valid:
            self.valid = int(cycle > 2 and self.sent < len(self.todo) and self.rng.random() < self.pace)
        data = request_word(self.todo[self.sent], 100 + self.sent) if self.valid else 0
        return {"reset": int(cycle < 2), "requests_valid": self.valid, "requests_data": data,
                "acquire_ready": int(self.rng.random() < 0.6), "stopped": 0}

    def finished(self) -> bool:
        """Whether all are released; the last one has to release something."""
        return self.sent == len(self.todo) and len(self.released) == len(self.releases())

    def releases(self, upto: int | None = None) -> list[tuple[int, int]]:
        """What the first requests release."""
        return [(one.semaphore, one.release_value) for one in self.todo[:upto] if one.release]


def transfer_scenario(inflight: int) -> Job:
    config, rng = Config(), random.Random(inflight)
    requests = Requests([random_request(rng, config, 0) for _ in range(50)], rng)
    row = Steady("rows_", "", "address", "row", "tag")
    handed: list[tuple[int, int]] = []
    outstanding: list[tuple[int, int]] = []  # request, tag
    open_rows: dict[int, int] = {}
    state = {"request": 0, "done": -1, "most": 0}

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        inputs = requests(cycle, seen)
        # a request is complete when all its rows are; they are released in order
        if state["done"] >= 0:
            open_rows[state["done"]] -= 1
        if row.moves(seen):
            handed.append((seen["rows_address"], seen["rows_row"]))
            while sum(one.rows for one in requests.todo[:state["request"] + 1]) < len(handed):
                state["request"] += 1
            open_rows.setdefault(state["request"], requests.todo[state["request"]].rows)
            outstanding.append((state["request"], seen["rows_tag"]))
        complete = 0
        while complete < requests.sent and (requests.todo[complete].rows == 0 or open_rows.get(complete) == 0):
            complete += 1
        assert requests.released == requests.releases()[:len(requests.released)]
        assert len(requests.released) <= len(requests.releases(complete))
        tags = dict(outstanding)
        assert len(set(tags.values())) == len(tags) <= inflight
        state["most"] = max(state["most"], requests.sent - complete)
        state["done"], tag = -1, 0
        if outstanding and rng.random() < 0.4:
            state["done"], tag = outstanding.pop(rng.randrange(len(outstanding)))
        return {**inputs, "rows_ready": int(rng.random() < 0.7), "done_valid": int(state["done"] >= 0), "done_tag": tag}

    make = partial(blocks.transfer, config, inflight)
    stimuli = interact(make, 5000, react, requests.finished)
    assert handed == [each for one in requests.todo for each in rows_of(one)]
    assert requests.released == requests.releases()
    assert state["most"] >= min(inflight, 3)
    return make, stimuli


# the two sides


def loads_scenario(name: str) -> Job:
    config, rng = CONFIGS[name], random.Random(name)
    beat, size = config.beat_bytes, config.scratchpad_row_bytes
    requests = Requests([random_request(rng, config, 0) for _ in range(20)], rng)
    memories = [ReadMemory(f"ports_m{p}_", beat, rng) for p in range(config.memory_ports)]
    expected = [(row, data_at(at, size)) for one in requests.todo for at, row in rows_of(one)]
    written: list[tuple[int, int]] = []

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        inputs = requests(cycle, seen)
        for memory in memories:
            inputs.update(memory(cycle, seen))
        if seen["write_valid"]:
            written.append((seen["write_row"], seen["write_data"]))
        assert not seen["fault_valid"]
        # what is released is in the scratchpad
        count, found = 0, 0
        for one in requests.todo:
            count += one.rows
            if found == len(requests.released):
                break
            found += one.release
            if found == len(requests.released):
                assert len(written) >= count
        return inputs

    make = partial(blocks.loads, config, name)
    stimuli = interact(make, 10_000, react, requests.finished)
    assert requests.released == requests.releases()
    assert sorted(written) == sorted(expected)
    # rows go to the ports in turn
    for port, memory in enumerate(memories):
        rows = [at for one in requests.todo for at, _ in rows_of(one)][port::len(memories)]
        assert memory.bursts == [burst for at in rows for burst in bursts_of(at, size, beat)]
    return make, stimuli


def stores_scenario(name: str) -> Job:
    config, rng = CONFIGS[name], random.Random(name)
    beat, size = config.beat_bytes, config.accumulator_row_bytes
    requests = Requests([random_request(rng, config, 1) for _ in range(20)], rng)
    # every row at an address of its own, so that the order of ports does not matter
    requests.todo = [replace(one, address=BOUNDARY * (64 * index + 63) - beat * rng.randrange(4),
                             memory_stride=size + beat * rng.randrange(3)) for index, one in enumerate(requests.todo)]
    memories = [WriteMemory(f"ports_m{p}_", beat, rng) for p in range(config.memory_ports)]
    ram = [rng.getrandbits(8 * size) for _ in range(config.accumulator_rows)]
    expected: dict[int, int] = {}
    for one in requests.todo:
        for at, row in rows_of(one):
            expected.update({at + i: ram[row] >> 8 * i & 0xFF for i in range(size)})
    state = {"data": 0}

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        inputs = requests(cycle, seen)
        for memory in memories:
            inputs.update(memory(cycle, seen))
        assert not seen["fault_valid"]
        if seen["read_valid"] and seen["read_ready"]:
            state["data"] = ram[seen["read_row"]]
        else:
            state["data"] = rng.getrandbits(8 * size)  # only in the next cycle
        if seen["release_valid"]:
            # all that it stored is in memory
            found = 0
            stored = {at for memory in memories for at in memory.bytes}
            for one in requests.todo:
                found += one.release
                assert all(at in stored for at, _ in rows_of(one))
                if found == len(requests.released):
                    break
        return {**inputs, "read_ready": int(rng.random() < 0.7), "read_data": state["data"]}

    make = partial(blocks.stores, config, name)
    stimuli = interact(make, 10_000, react, requests.finished)
    assert requests.released == requests.releases()
    got: dict[int, int] = {}
    for port, memory in enumerate(memories):
        got.update(memory.bytes)
        rows = [at for one in requests.todo for at, _ in rows_of(one)][port::len(memories)]
        assert memory.bursts == [burst for at in rows for burst in bursts_of(at, size, beat)]
    assert got == expected
    return make, stimuli


def dma_engine_scenario() -> Job:
    """Loads and stores pass each other; idle is when nothing is queued, under way or about to be released."""
    config, rng = CONFIGS["one_beat"], random.Random(11)
    todo = [replace(random_request(rng, config, rng.getrandbits(1)), acquire=0, release=1) for _ in range(24)]
    memories = [cls(f"memory_m{p}_", config.beat_bytes, rng) for p in range(config.memory_ports)
                for cls in (ReadMemory, WriteMemory)]
    released: dict[int, list[tuple[int, int]]] = {0: [], 1: []}
    state = {"sent": 0, "valid": 0, "wait": 0, "idle": 0, "moved": 0}

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        inputs: dict[str, int] = {}
        for memory in memories:
            inputs.update(memory(cycle, seen))
        for function, name in enumerate(("load", "store")):
            if seen[f"release_{name}_valid"]:
                released[function].append((seen[f"release_{name}_semaphore"], seen[f"release_{name}_value"]))
        if cycle > 1:
            state["moved"] += seen["status_moved"]
            # what is released in this cycle is known in the next
            under_way = state["sent"] - sum(map(len, released.values()))
            releasing = seen["release_load_valid"] + seen["release_store_valid"]
            assert seen["status_idle"] == (under_way + releasing == 0)
            assert not seen["status_active"] or under_way + releasing
            state["idle"] += seen["status_idle"]
        if state["valid"] and seen["requests_ready"]:
            state["sent"], state["valid"], state["wait"] = state["sent"] + 1, 0, rng.choice((0, 0, 0, 5, 400))
        state["wait"] -= state["wait"] > 0
        if not state["valid"]:
            state["valid"] = int(cycle > 2 and not state["wait"] and state["sent"] < len(todo))
        data = request_word(todo[state["sent"]], state["sent"]) if state["valid"] else 0
        return {**inputs, "reset": int(cycle < 2), "requests_valid": state["valid"], "requests_data": data,
                "read_ready": int(rng.random() < 0.8), "read_data": rng.getrandbits(8 * config.accumulator_row_bytes)}

    make = partial(blocks.dma_engine, config)
    stimuli = interact(make, 10_000, react, lambda: sum(map(len, released.values())) == len(todo))
    for function, got in released.items():
        assert got == [(one.semaphore, one.release_value) for one in todo if one.function == function]
    assert state["idle"] > 50
    # a load and a store in one cycle are one
    assert 0 < state["moved"] <= sum(one.rows for one in todo)
    return make, stimuli


def fault_scenario(kind: str) -> Job:
    """A response that is not OKAY names the instruction; what is under way comes to its end."""
    config, rng = CONFIGS["one_beat"], random.Random(3)
    function = int(kind == "stores")
    size = config.accumulator_row_bytes if function else config.scratchpad_row_bytes
    base = Dma(function=function, accumulator=function, rows=4, row=0, stride=1, memory_stride=size, size=size,
               release=1, semaphore=1)
    bad = range(8 * BOUNDARY, 9 * BOUNDARY)
    requests = Requests([replace(base, address=BOUNDARY * page) for page in (1, 2, 8, 3)], rng)
    cls = WriteMemory if function else ReadMemory
    memories = [cls(f"ports_m{p}_", config.beat_bytes, rng, bad) for p in range(config.memory_ports)]
    state = {"fault": 0}

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        inputs = requests(cycle, seen)
        for memory in memories:
            inputs.update(memory(cycle, seen))
        assert seen["fault_valid"] >= state["fault"]
        state["fault"] = seen["fault_valid"]
        if seen["fault_valid"]:
            wanted = ErrorCode.WRITE_RESPONSE if function else ErrorCode.READ_RESPONSE
            assert (seen["fault_code"], seen["fault_number"]) == (wanted, 102)
        if function:
            inputs.update(read_ready=1, read_data=rng.getrandbits(8 * size))
        return {**inputs, "stopped": state["fault"]}

    make = partial(getattr(blocks, kind), config, "one_beat")
    stimuli = interact(make, 600, react)
    assert state["fault"]
    return make, stimuli


SCENARIOS["dma_engine"] = cache(dma_engine_scenario)
for _name in CONFIGS:
    for _make in (load_port_scenario, store_port_scenario, loads_scenario, stores_scenario):
        SCENARIOS[f"{_make.__name__.removesuffix('_scenario')}_{_name}"] = cache(partial(_make, _name))
for _count in (1, 2, 3, 8):
    SCENARIOS[f"hand_out_{_count}"] = cache(partial(hand_out_scenario, _count))
    SCENARIOS[f"collect_{_count}"] = cache(partial(collect_scenario, _count))
for _inflight in (1, 2, 5):
    SCENARIOS[f"transfer_{_inflight}"] = cache(partial(transfer_scenario, _inflight))
for _kind in ("load", "store"):
    SCENARIOS[f"failing_{_kind}_port"] = cache(partial(failing_port_scenario, _kind))
    SCENARIOS[f"failing_{_kind}s"] = cache(partial(fault_scenario, f"{_kind}s"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_against_the_model(name: str) -> None:
    SCENARIOS[name]()


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_in_verilog(simulator: str, tmp_path) -> None:
    check_all([run() for run in SCENARIOS.values()], [simulator], tmp_path)
