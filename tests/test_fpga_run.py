"""fsa-fpga run: from the command line to the bits, over LiteX's own bridges, on a board that the golden model plays;
and every way in which a line, a SoC or a device may fail."""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tty
from contextlib import contextmanager

import numpy as np
import pytest
import serial
from click.testing import CliRunner
from fake_board import CONFIG, DEVICE, RAM, RAM_SIZE, SCRATCH, Board, server, uartbone

from myhdl_fsa import golden
from myhdl_fsa.cli.fpga import main
from myhdl_fsa.engine import RunError
from myhdl_fsa.fpga.host import driver, litex_bus
from myhdl_fsa.fpga.host.bus import Bus
from myhdl_fsa.fpga.host.engine import BoardEngine
from myhdl_fsa.fpga.host.soc import Soc
from myhdl_fsa.frontend.registers import Register
from myhdl_fsa.isa import Fence, encode_all
from myhdl_fsa.kernel.flash_attention import attention_kernel
from myhdl_fsa.program import ErrorCode, Program, Region, State
from myhdl_fsa.scale import Scale
from myhdl_fsa.workbench.workload import generate


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Lines that need not settle, and that are given up at once."""
    monkeypatch.setattr(litex_bus, "SETTLE", 0)
    monkeypatch.setattr(litex_bus, "UNDER_WAY", 0)
    monkeypatch.setattr(litex_bus, "PATIENCE", 0.5)


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A board, and its csr.json in the current folder."""
    monkeypatch.chdir(tmp_path)
    made = Board()
    (tmp_path / "csr.json").write_text(made.csr())
    return made


def fsa_fpga_run(*args):
    return CliRunner().invoke(main, ["run", *map(str, args)])


def failed(status, *args):
    """The one line of an error, without the command's name."""
    run = fsa_fpga_run(*args)
    assert run.exit_code == status, run.output
    (line,) = run.stderr.splitlines()
    begin, _, message = line.partition("error: ")
    assert begin == "fsa-fpga: "
    return message


def on_port(board, *args):
    with uartbone(board) as port:
        return fsa_fpga_run("--port", port, *args)


def failed_on_port(board, *args):
    with uartbone(board) as port:
        return failed(1, "--port", port, "--quiet", *args).removeprefix(f"{port}: ")


SMALL = ("--seq-q", 5, "--seq-kv", 9, "--causal", "--seed", 3)


@pytest.mark.parametrize("line", [uartbone, server])
def test_attention_from_the_command_line_to_the_bits(board, line):
    with line(board) as place:
        option = "--port" if line is uartbone else "--connect"
        run = fsa_fpga_run(option, place, *SMALL, "--json", "run.json", "--out", "o.npy", "--dump-asm", "p.s")
    assert run.exit_code == 0, run.output
    assert run.stderr == ""
    lines = run.stdout.splitlines()
    assert "FSA equals the golden model bit for bit (20 values)" in lines
    assert [line.partition(": {")[0] for line in lines if line.startswith("Error")] == [
        f"Error of {name} vs {reference}" for reference in ("torch", "float64") for name in ("FSA", "golden")]
    work = generate(CONFIG, 5, 9, 3)
    bits = golden.attention(work.q, work.k, work.v, CONFIG, causal=True)
    np.testing.assert_array_equal(np.load("o.npy"), bits.view(np.float32))
    machine = CONFIG.replace(memory_base=RAM + RAM_SIZE // 2, memory_size=RAM_SIZE // 2)
    kernel = attention_kernel(work.q, work.k, work.v, machine, causal=True)
    assert board.words == list(kernel.words)
    assert f"Raw instructions: {len(kernel.words)}" in lines
    found = json.loads(open("run.json").read())
    assert found["engine"] == "board" and found["bit_exact"] is True and found["run"]["timing"] is None
    assert found["counters"]["enqueued"] == len(kernel.words)
    inputs = sum(len(data) for _, data in kernel.program().memory)
    sizes = {"memory": inputs + 8 * 4 * 4, "program": 4 * len(kernel.words), "result": 8 * 4 * 4}
    assert {name: one["bytes"] for name, one in found["transfers"].items()} == sizes
    assert [line.rpartition(",")[0] for line in lines[-3:]] == [
        f"To the board: {sizes['memory']} bytes", f"Program, until it was done: {sizes['program']} bytes",
        f"From the board: {sizes['result']} bytes"]
    assert {"option": "--csr", "path": os.path.abspath("csr.json")}.items() <= found["run"]["inputs"][0].items()
    assert "memory=0x40008000+8" in open("p.s").read().splitlines()[0]


def test_attention_through_litexs_server_on_a_serial_port(board):
    with socket.create_server(("localhost", 0)) as free:
        place = free.getsockname()[1]
    with uartbone(board) as port:
        command = [sys.executable, "-m", "litex.tools.litex_server", "--uart", "--uart-port", port,
                   "--bind-port", str(place)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_for(place)
                run = fsa_fpga_run("--connect", f"localhost:{place}")
            finally:
                process.kill()
    assert run.exit_code == 0, run.output
    assert "FSA equals the golden model bit for bit (16 values)\n" in run.stdout


def wait_for(port):
    due = time.monotonic() + 10
    while time.monotonic() < due:
        try:
            socket.create_connection(("localhost", port)).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("no server")


def test_own_tensors_another_machine_and_a_second_run_on_the_same_board(tmp_path, board):
    machine = CONFIG.replace(rows=2, cols=2, instruction_queue=12, dataflow="stream", reciprocal="division")
    (tmp_path / "machine.json").write_text(machine.to_json())
    board = Board(machine)
    (tmp_path / "csr.json").write_text(board.csr())
    board.pace = 3
    for name, shape in (("q", (1, 2, 3, 2)), ("k", (1, 1, 5, 2)), ("v", (1, 1, 5, 1))):
        np.save(f"{name}.npy", np.random.default_rng(1).random(shape))
    own = ["--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "--config", "machine.json", "--scale", 0.7]
    for _ in range(2):
        run = on_port(board, *own, "--json", "-", "--timeout", 1e308)
        assert run.exit_code == 0, run.output
        assert json.loads(run.stdout)["bit_exact"] is True
    assert len(board.words) > 30 and board.most_queued == 12 and board.overflowed == 0
    # words come slower than they are taken
    assert board.registers[Register.WATCHDOG] == 0xFFFFFFFF


def test_a_wrong_bit(board):
    board.flip = 1
    run = on_port(board)
    assert run.exit_code == 1 and run.stderr == ""
    assert "FSA differs from the golden model in 1 of 16 values, first at [0, 0]: FSA " in run.stdout
    assert failed_on_port(board).startswith("FSA differs from the golden model in 1 of 16 values")


def test_a_result_that_was_there_before_is_none(board):
    assert on_port(board).exit_code == 0
    board._execute = lambda: board.registers.update({Register.STATE: State.DONE, Register.INTERRUPT: 1})
    assert failed_on_port(board).startswith("FSA differs from the golden model in 16 of 16 values")


def test_an_error_of_the_device(board):
    board.error = ErrorCode.READ_RESPONSE
    assert failed_on_port(board) == "the device stopped with error 7 (read response) at instruction 3"
    board.error = ErrorCode.NONE
    assert on_port(board).exit_code == 0  # which begins with a reset


def test_a_device_that_is_never_done(board):
    board.stuck = True
    message = failed_on_port(board, "--timeout", 0.2)
    assert message.startswith("no progress for 0.2 s: state active, 32 words pushed, 0 of them still in the queue, "
                              "0 matrix and 0 DMA instructions, 0 fences, ")
    board.pace = 0
    board.config = board.config.replace(instruction_queue=256)
    message = failed_on_port(board, "--timeout", 0.2, "--seq-q", 16, "--seq-kv", 32)
    assert message.startswith("no progress for 0.2 s: state active, 256 words pushed, 256 of them still in the queue, ")
    assert board.overflowed == 0


def test_a_device_that_does_not_reset(board):
    reset = board._write_register
    board._write_register = lambda register, word: register is Register.ERROR or reset(register, word)
    board.registers[Register.STATE], board.registers[Register.ERROR] = State.ERROR, ErrorCode.TIMEOUT
    assert failed_on_port(board, "--timeout", 0.1).startswith(
        "the device does not reset: state error 9 (timeout) at instruction 0, 0 words pushed, ")


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.9])
def test_a_board_that_is_pulled_out(board, share):
    with uartbone(board):
        on_port(board)
    board.gone_after, board.accesses = int(share * board.accesses), 0
    assert failed_on_port(board).startswith("the line is lost: ")


def test_a_server_that_goes_away(board, monkeypatch):
    with server(board) as place:
        board.gone_after = 30
        monkeypatch.setattr(litex_bus, "PATIENCE", 0.2)
        # LiteX's server hangs up then
        assert failed(1, "--connect", place) == f"{place}: no answer: the server, or the board behind it, is gone"


@pytest.mark.parametrize(("register", "which", "says"), [
    (Register.QUEUE, 7, "31 of 32 instruction words arrived: the line loses bytes"),
    (Register.SCALE_ACC, 2, f"register SCALE_ACC holds 0xffffffff where {Scale.of(CONFIG).acc:#x} was written: "
                            "the line loses bytes"),
    (Register.WATCHDOG, 1, "the watchdog register at 0x30000040 holds 0x10000, not the 0x5a3cf00f that was written: "
                           "is the baud rate the SoC's, and csr.json this SoC's?"),
    (Register.SET_ACTIVE, 1, ""),
])
def test_a_line_that_loses_a_word_to_a_register(board, register, which, says):
    board.lost = DEVICE + register, which
    if says:
        assert failed_on_port(board) == says
    else:
        assert on_port(board).exit_code == 0  # what is still idle is set active again


def test_a_line_that_loses_a_word_to_memory(board):
    base = RAM + RAM_SIZE // 2
    board.lost = base + 28, 1  # the last of Q
    assert failed_on_port(board).startswith(f"memory at {base + 28:#x} holds 0x")
    board.memory[:] = bytes([0x3C]) * RAM_SIZE
    board.lost = base + 24, 1  # which shows in the result alone
    assert failed_on_port(board).startswith("FSA differs from the golden model in ")


@contextmanager
def line_that(answers):
    """A serial port behind which ``answers`` gets every byte that comes, and gives what goes back."""
    host, port = os.openpty()
    tty.setraw(host)
    tty.setraw(port)

    def serve():
        while True:
            try:
                os.write(host, answers(os.read(host, 64)))
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield os.ttyname(port)
    finally:
        os.close(port)
        thread.join(5)
        os.close(host)


def test_no_answer_and_one_at_another_rate(board, monkeypatch):
    with line_that(lambda came: b"") as port:
        monkeypatch.setattr(litex_bus, "PATIENCE", 0.1)
        assert failed(1, "--port", port, "--baud", 9600) == f"{port} at 9600 baud: no answer in 0.1 s"
    with line_that(lambda came: b"\xc3" * len(came)) as port:
        message = failed(1, "--port", port)
    assert message == (f"{port}: LiteX's scratch register at 0xf0000004 holds 0xc3c3c3c3, not the 0x12345678 that it "
                       "has after a reset: is the baud rate the SoC's, and csr.json this SoC's?")


def test_a_console_that_talks_first(board, monkeypatch):
    board.console = [b"FSA4X4Fp16Config on VexRiscv\r\n"] * 20
    monkeypatch.setattr(litex_bus, "SETTLE", 0.1)
    assert on_port(board).exit_code == 0
    board.console = itertools.repeat(b"litex> ")
    monkeypatch.setattr(litex_bus, "TALKS", 0.1)
    assert " at 115200 baud: is never silent, as if a console had it: '" in failed_on_port(board)


def test_the_machine_is_that_of_the_file_beside(tmp_path, board):
    (tmp_path / "csr.json").write_text(board.csr(constants={}))
    (tmp_path / "config.json").write_text(CONFIG.replace(elem="e4m3").to_json())
    assert "the device's elem has 16 bits, and 8 in the configuration" in failed_on_port(board)
    assert "the device's elem" not in on_port(board, "--config", CONFIG.name).stderr
    (tmp_path / "config.json").write_text("{")
    assert failed(2, "--port", "x").startswith(f"--config {tmp_path}/config.json: not JSON")


def test_a_port_that_cannot_be_opened(board, monkeypatch):
    assert failed(2, "--port", "/dev/ttyNONE") == "--port /dev/ttyNONE: cannot open: No such file or directory"
    assert failed(2, "--port", "csr.json") == "--port csr.json: cannot open: it is no serial port"
    assert failed(2, "--port", "") == "--port '': cannot open: No such file or directory"
    assert failed(2, "--port", "wire://x").startswith("--port wire://x: cannot open: invalid URL")
    assert "Connection refused" in failed(2, "--port", "socket://localhost:1")
    with line_that(lambda came: b"") as port:
        with open(port, "rb") as taken:
            fcntl.flock(taken, fcntl.LOCK_EX)
            assert failed(2, "--port", port) == f"--port {port}: cannot open: another program uses it"

        def refuse(*args):
            raise serial.SerialException(errno.EACCES, "could not open port")

        monkeypatch.setattr(serial, "serial_for_url", refuse)
        assert failed(2, "--port", port).startswith(f"--port {port}: cannot open: Permission denied: only root and the")


def test_a_server_that_is_none(board, monkeypatch):
    monkeypatch.setattr(litex_bus, "PATIENCE", 0.1)
    assert failed(2, "--connect", "localhost:1") == "--connect localhost:1: cannot connect: Connection refused"
    assert failed(2, "--connect", "nowhere.invalid").startswith("--connect nowhere.invalid:1234: cannot connect: ")
    for greeting, says in ((b"", "does not greet as LiteX's server"), (b"SSH-2.0-OpenSSH", "does not greet"),
                           (b"CommPCIe:localhost:1234", "is a bridge over PCIe, which does not reach")):
        with socket.create_server(("localhost", 0)) as listening:
            place = f"localhost:{listening.getsockname()[1]}"
            threading.Thread(target=greet, args=(listening, greeting)).start()
            assert failed(2, "--connect", place).startswith(f"--connect {place}: {says}")


def greet(listening, text):
    connection, _ = listening.accept()
    with connection:
        connection.sendall(text)
        time.sleep(0.2)


@pytest.mark.parametrize(("text", "says"), [
    ("{", "is not LiteX's csr.json: Invalid JSON: "),
    ("[]", "is not LiteX's csr.json: Input should be an object"),
    ('{"memories": {"fsa": {"base": "a"}}}', "is not LiteX's csr.json: memories.fsa.base: Input should be a valid int"),
    ('{"memories": {"fsa": {"base": -4, "size": 256}}}', "is not LiteX's csr.json: memories.fsa.base: Input should "),
    ('{"memories": {"fsa": {"base": 0, "size": 0}}}', "is not LiteX's csr.json: memories.fsa.size: Input should be gr"),
    ('{"memories": {"fsa": {"base": 0, "size": 4294967297}}}', "fsa reaches beyond the addresses of 32 bits"),
    ("{}", "has no fsa among its memories, the device's registers: is another SoC's"),
    ('{"memories": {"fsa": {"base": 0, "size": 256}}}', "has no main_ram among its memories, its memory: is another"),
])
def test_a_csr_json_that_is_none(board, tmp_path, text, says):
    (tmp_path / "csr.json").write_text(text)
    assert failed(2, "--port", "/dev/ttyNONE").startswith(f"--csr csr.json: {says}")


def test_another_socs_csr_json(board, tmp_path):
    (tmp_path / "csr.json").write_text(board.csr(csr_registers={"ctrl_scratch": {"addr": SCRATCH + 4}}))
    assert failed_on_port(board).startswith(
        "LiteX's scratch register at 0xf0000008 holds 0xffffffff, not the 0x12345678 that it has after a reset: ")
    memories = {"main_ram": {"base": RAM, "size": RAM_SIZE}, "fsa": {"base": DEVICE + 0x1000, "size": 256}}
    (tmp_path / "csr.json").write_text(board.csr(csr_registers={}, memories=memories))
    before = bytes(board.memory)
    assert failed_on_port(board) == ("state 0xffffffff and error 0xffffffff are none of the device's: the line "
                                     "garbles, or csr.json is another SoC's")
    assert bytes(board.memory) == before
    memories["main_ram"]["size"] = 64
    (tmp_path / "csr.json").write_text(board.csr(memories={**memories, "fsa": {"base": DEVICE, "size": 256}}))
    assert "memory tensor K" in failed_on_port(board) or "memory" in failed_on_port(board)


def test_another_machine_than_the_devices(board, tmp_path):
    says = "rows is 8, and 4 in the SoC's device (--csr csr.json)"
    assert failed(2, "--port", "x", "--config", "FSA8X8Fp16Config") == f"--config FSA8X8Fp16Config: {says}"
    (tmp_path / "csr.json").write_text(board.csr(constants={}))
    (tmp_path / "wide.json").write_text(CONFIG.replace(elem="e4m3").to_json())
    assert failed_on_port(board, "--config", "wide.json") == (
        "the device's elem has 16 bits, and 8 in the configuration, e4m3: is another machine")


@pytest.mark.parametrize(("args", "says"), [
    ([], "--port or --connect must say where the board is"),
    (["--port", "a", "--connect", "b"], "--port a: is about a serial port: cannot go with --connect b"),
    (["--baud", "9600"], "--baud 9600: needs --port"),
    (["--port", "a", "--baud", "x"], "--baud x: must be an integer from 50 to 20000000"),
    (["--connect", "a:b"], "--connect a:b: must be HOST or HOST:PORT"),
    (["--connect", "a:0"], "--connect a:0: must be HOST or HOST:PORT"),
    (["--port", "a", "--timeout", "0"], "--timeout 0: must be a positive number"),
    (["--port", "a", "--csr", "none"], "--csr none: cannot read: No such file or directory"),
    (["--port", "a", "--csr", "."], "--csr .: cannot read: Is a directory"),
    (["--port", "a", "--config", "no"], "--config no: "),
    (["--port", "a", "--q", "q.npy"], "--q q.npy: needs --k and --v too"),
    (["--port", "a", "--q", "a", "--k", "a", "--v", "a", "--seed", "1"], "--seed 1: is about generated tensors"),
    (["--port", "a", "--json", "csr.json"], "--json csr.json: is the file of --csr too: must be another"),
    (["--port", "a", "--json", "none/r.json"], "--json none/r.json: cannot write: "),
    (["--port", "a", "--engine", "myhdl"], "No such option"),
])
def test_bad_usage(board, args, says):
    assert failed(2, *args).startswith(says)


def test_a_full_disk_and_tensors_that_are_not_there(board):
    assert failed_on_port(board, "--json", "/dev/full").startswith("--json /dev/full: cannot write: ")
    with uartbone(board) as port:
        assert failed(2, "--port", port, *(f"--{name}=none.npy" for name in "qkv")).startswith("--q none.npy: ")


def test_litex_that_is_not_installed(board, monkeypatch):
    monkeypatch.delitem(sys.modules, "myhdl_fsa.fpga.host.litex_bus")
    monkeypatch.setitem(sys.modules, "litex.tools.litex_client", None)
    assert failed(1, "--port", "a").endswith(" is not installed: run `pip install 'myhdl-fsa[soc]'`")


def test_an_interrupt_ends_a_run_that_waits(board):
    board.stuck = True
    with uartbone(board) as port:
        command = [sys.executable, "-c", "from myhdl_fsa.cli.entry import fsa_fpga; fsa_fpga()", "run", "--port", port]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            while board.registers[Register.STATE] != State.ACTIVE:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == 128 + signal.SIGINT
            assert process.stderr.read() == ""


class Direct(Bus):
    """A bus without a line."""

    name, read_burst = "board", 7

    def __init__(self, board):
        self.board = board

    def read_one(self, address, count):
        """As Bus."""
        return [self.board.read(address + 4 * at) for at in range(count)]

    def write_one(self, address, words):
        """As Bus."""
        (word,) = words
        self.board.write(address, word)

    push_one = write_one

    def close(self):
        """As Bus."""


SOC = Soc(DEVICE, Region(RAM, RAM_SIZE))


def test_the_board_as_an_engine_runs_programs_at_any_address(board):
    machine = BoardEngine(Direct(board), SOC)
    config = machine.place(CONFIG)
    base, stop = config.memory_base, tuple(encode_all([Fence(matrix=1, dma=1, stop=1)]))
    for at in range(4):
        for size in range(1, 10):
            board.memory[:] = bytes([0xEE]) * RAM_SIZE
            data = bytes(range(1, size + 1))
            program = Program(stop, ((base + at, data),), (Region(base + at, size), Region(base + at + size, 3)))
            execution = machine.execute(program, config)
            assert execution.state is State.DONE and execution.outputs == (data, bytes(3))
            around = board.memory[RAM_SIZE // 2 - 4:][:24]
            assert around[:4 + at] == bytes([0xEE]) * (4 + at) and set(around[4 + at + size + 3:]) == {0xEE}
    below = Program(stop, ((base - 4, b"1234"),))
    with pytest.raises(RunError, match="^4 bytes at 0x40007ffc: memory is from 0x40008000 to 0x4000ffff$"):
        machine.execute(below, config)


def test_the_board_as_an_engine_says_what_it_cannot(board, tmp_path):
    machine, work = BoardEngine(Direct(board), SOC), generate(CONFIG, 4, 4, 0)
    tensors = work.q, work.k, work.v
    with pytest.raises(RunError, match="^a board has no bare core"):
        machine.attention(*tensors, CONFIG)
    for watch in ({"vcd": tmp_path / "w.vcd"}, {"max_cycles": 5}):
        with pytest.raises(RunError, match="^a board has no waveform and no cycle limit$"):
            machine.device_attention(*tensors, CONFIG, **watch)
    with pytest.raises(RunError, match="^engine board does not show what the machine holds"):
        machine.device_attention(*tensors, CONFIG, record=True)
    other = BoardEngine(Direct(board), Soc(DEVICE, Region(RAM, RAM_SIZE), machine=(("dataflow", "stream"),)))
    with pytest.raises(RunError, match="^board: dataflow is fsa, and stream in the SoC's device$"):
        other.device_attention(*tensors, CONFIG)
    seen = []
    result = machine.device_attention(*tensors, CONFIG, progress=lambda done, whole: seen.append((done, whole)))
    assert seen[-1] == (352, 352) and seen == sorted(seen)
    np.testing.assert_array_equal(result.output, golden.attention(*tensors, CONFIG))


def test_no_more_is_under_way_than_a_bridge_has_room_for(board, monkeypatch):
    monkeypatch.setattr(driver, "CHUNK", 3)
    machine, work = BoardEngine(Direct(board), SOC), generate(CONFIG, 4, 4, 0)
    result = machine.device_attention(work.q, work.k, work.v, CONFIG)
    np.testing.assert_array_equal(result.output, golden.attention(work.q, work.k, work.v, CONFIG))


@pytest.mark.parametrize(("args", "says"), [
    (["--bridge", "0", "--out", "soc"], "--bridge 0: must be an integer from 1 to 65535"),
    (["--bridge", "1111"], "--bridge 1111: needs --out"),
    (["--bridge", "1111", "--out", "soc", "--cpu", "rocket"], "--cpu rocket: is about a SoC with a processor: "),
])
def test_a_bridge_that_cannot_be(args, says):
    run = CliRunner().invoke(main, ["simulate", *args])
    assert run.exit_code == 2 and run.stderr.startswith(f"fsa-fpga: error: {says}")


def test_a_bridge_at_a_port_that_is_taken(tmp_path):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        run = CliRunner().invoke(main, ["simulate", "--bridge", str(port), "--out", str(tmp_path / "soc")])
    assert run.exit_code == 2
    assert run.stderr == f"fsa-fpga: error: --bridge {port}: another program listens at that port\n"
    assert not (tmp_path / "soc").exists()


@pytest.mark.slow
def test_attention_on_the_simulated_soc_over_its_bridge(tmp_path, monkeypatch):
    monkeypatch.setattr(litex_bus, "PATIENCE", 10)
    with socket.create_server(("localhost", 0)) as free, socket.create_server(("localhost", 0)) as other:
        bridge, place = free.getsockname()[1], other.getsockname()[1]
    port, csr = f"socket://localhost:{bridge}", ["--csr", tmp_path / "soc" / "csr.json"]
    command = [sys.executable, "-c", "from myhdl_fsa.cli.entry import fsa_fpga; fsa_fpga()", "simulate", "--bridge",
               str(bridge), "--out", str(tmp_path / "soc")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as simulation:
        try:
            said = next(line for line in simulation.stderr if "socket://" in line)
            assert said.endswith(f" s: the bridge is at {port}\n")
            # more words than the queue holds, and a device that waits for them longer than a reset's watchdog allows
            assert json.loads((tmp_path / "soc" / "config.json").read_text())["name"] == CONFIG.name
            run = fsa_fpga_run("--port", port, *csr, "--seq-q", 14, "--seq-kv", 51, "--json", "-")
            assert run.exit_code == 0, run.output
            found = json.loads(run.stdout)
            assert found["bit_exact"] is True and found["transfers"]["program"]["bytes"] > 4 * 256
            assert found["counters"]["execution_time"] > 1 << 16 and found["counters"]["matrix"] > 100
            assert ": dataflow is stream, and fsa in the SoC's device" in failed(
                2, "--port", port, *csr, "--dataflow", "stream")
            server_command = [sys.executable, "-m", "litex.tools.litex_server", "--uart", "--uart-port", port,
                              "--bind-port", str(place)]
            with subprocess.Popen(server_command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as serving:
                try:
                    wait_for(place)
                    run = fsa_fpga_run("--connect", f"localhost:{place}", *csr, "--causal", "--head-dim", 3)
                finally:
                    serving.kill()
            assert run.exit_code == 0, run.output
            assert "FSA equals the golden model bit for bit (12 values)\n" in run.stdout
            simulation.send_signal(signal.SIGINT)
            assert simulation.wait(10) == 128 + signal.SIGINT
        finally:
            simulation.kill()
