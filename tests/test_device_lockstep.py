"""The device in MyHDL and as Verilog, every output and register in every cycle, on random kernels and stalls."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from programs import Attention, bad_words

from myhdl_fsa.config import Config
from myhdl_fsa.program import Program, Timing
from myhdl_fsa.sims.lockstep import LockstepMismatch, device_lockstep

CONFIG = Config(rows=2, cols=2, instruction_queue=16, matrix_queue=4, load_inflight=4, store_inflight=2,
                port_inflight=4, memory_ports=2, memory_size=1 << 20, memory_align=4)
"""small queues: they fill up, and there is less to compare"""
STREAM = CONFIG.replace(dataflow="stream", reciprocal="division")


def programs(config: Config, count: int, seed: int, tiles: int) -> list[Program]:
    """Random kernels, and now and then a program with something wrong in it."""
    rng = random.Random(seed)
    chosen = []
    for _ in range(count):
        good = Attention.drawn(config, rng, tiles).program
        if rng.randrange(3) == 0:
            good = replace(good, words=tuple(bad_words(config, good, rng)), watchdog=300)
        chosen.append(good)
    return chosen


def pace(seed: int) -> Timing:
    """A random memory."""
    rng = random.Random(seed)
    return Timing(rng.choice((1, 5, 60)), rng.choice((1, 5, 60)), Fraction(1, rng.choice((1, 2, 9))),
                  Fraction(1, rng.choice((1, 2, 9))), rng.getrandbits(32) if rng.randrange(4) else None,
                  rng.choice((1, 1, 1, 7)))


def steps(config: Config, simulator: str, wanted: int, seed: int, count: int, tiles: int, build_dir: object) -> int:
    """Runs until ``wanted`` cycles have been compared; gives how many."""
    cycles = 0
    while cycles < wanted:
        seed += 1
        cycles += device_lockstep(simulator, programs(config, count, seed, tiles), config, timing=pace(seed),
                                  build_dir=build_dir).cycles
    return cycles


@pytest.mark.parametrize(("config", "simulator", "seed"), [
    (CONFIG, "verilator", 0), (CONFIG, "icarus", 1000), (STREAM, "verilator", 2000), (STREAM, "icarus", 3000),
], ids=lambda value: getattr(value, "dataflow", None))
def test_ten_thousand_cycles_each(config, simulator, seed, build_dir):
    assert steps(config, simulator, 10_000, seed, 30, 3, build_dir) >= 10_000


@pytest.mark.slow
@pytest.mark.parametrize("config", [CONFIG, STREAM], ids=lambda config: config.dataflow)
def test_a_million_cycles(config, build_dir):
    assert steps(config, "verilator", 1_000_000, 2000, 40, 4, build_dir) >= 1_000_000


def test_a_difference_is_named(build_dir, monkeypatch):
    import myhdl_fsa.sims.lockstep as module

    record = module._Log.record

    def wrong(self):
        record(self)
        if self.cycles == 40:
            self._state[3].next = not self._state[3]

    monkeypatch.setattr(module._Log, "record", wrong)
    with pytest.raises(LockstepMismatch, match=r"cycle 4\d: \w+: myhdl [0-9a-f]+, icarus [0-9a-f]+"):
        # the answer that was made up may leave the host waiting
        device_lockstep("icarus", [Attention(CONFIG, 5).program], CONFIG, build_dir=build_dir, max_cycles=1000)
