"""Signals, and what is left after them: nothing half-written, no process, no folder that stays."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from test_cli import driver

from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import discard_abandoned, temporary_folder

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# The signal arrives while a module is imported: early ones, one in the middle, and one that the run itself imports.
IMPORTING = textwrap.dedent("""
    import os, sys

    def hook(event, args):
        if event == "import" and args[0] == {module!r}:
            os.kill(os.getpid(), {number})

    sys.addaudithook(hook)
    sys.argv = ["fsa-sim"]
    from myhdl_fsa.cli.entry import {command}
    {command}()
""")


@pytest.mark.parametrize(("number", "command", "module"), [
    (signal.SIGINT, "fsa_sim", "click"), (signal.SIGTERM, "fsa_sim", "numpy"),
    (signal.SIGHUP, "fsa_sim", "myhdl_fsa.config"), (signal.SIGINT, "fsa_sim", "myhdl_fsa.workbench.report"),
    (signal.SIGTERM, "fsa_sim", "torch"), (signal.SIGINT, "fsa_convert", "click"),
    (signal.SIGINT, "fsa_convert", "myhdl"),
])
def test_a_signal_while_modules_are_imported(tmp_path, number, command, module):
    script = IMPORTING.format(module=module, number=int(number), command=command)
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (128 + number, "", "")
    assert not list(tmp_path.iterdir())


def test_a_signal_while_python_looks_for_the_module():
    # `python -m` imports the packages above the module first; the first thing the module itself imports is this
    script = textwrap.dedent("""
        import os, runpy, sys
        sys.addaudithook(lambda event, args: event == "import" and args[0] == "click" and os.kill(os.getpid(), 2))
        sys.argv = ["-m"]
        runpy.run_module("myhdl_fsa.cli.sim", run_name="__main__", alter_sys=True)
    """)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_cleans_up(tmp_path, number):
    """The tool of a run, what it started, and the waveform that was being written are gone."""
    before = f"""
        from pathlib import Path
        from myhdl_fsa.workbench import tools
        from myhdl_fsa.workbench.temporary import temporary_folder
        with temporary_folder(Path({str(tmp_path)!r})) as folder:
            print(folder, flush=True)
            tools.run({TOOL!r}, folder)
    """
    command = [*driver(textwrap.dedent(before).strip().replace("\n", "\n    ")), "--vcd", tmp_path / "x.vcd"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        pids = started(Path(run.stdout.readline().strip()))
        run.send_signal(number)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (128 + number, "", "")
    assert ended(pids)
    assert not list(tmp_path.iterdir())


def test_a_second_signal_does_not_disturb_the_cleaning_up(tmp_path):
    script = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from myhdl_fsa.cli.termination import Terminated, Termination
        with Termination() as termination:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except Terminated as first:
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    os.kill(os.getpid(), number)
                print("cleaned up", first.status, termination.status)
    """)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "cleaned up 143 143\n", "")


def test_a_signal_in_a_destructor_is_not_lost():
    # Python only prints what a destructor raises, and goes on
    before = """
        import os, time
        class Last:
            def __del__(self):
                os.kill(os.getpid(), 15)
        last = Last()
        del last
        time.sleep(60)
    """
    command = driver(textwrap.dedent(before).strip().replace("\n", "\n    "))
    run = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (run.returncode, run.stdout, run.stderr) == (143, "", "")


def test_nohup_stays_in_force():
    command = ["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *driver("print(1, flush=True); sys.stdin.readline()")]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **streams) as run:
        assert run.stdout.readline() == "1\n"
        run.send_signal(signal.SIGHUP)
        out, err = run.communicate("\n", timeout=60)
    assert (run.returncode, err) == (0, "")
    assert out.startswith("Error of FSA")


def test_nobody_reads_the_output():
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = driver("print(1, flush=True); sys.stdin.readline()")
    with subprocess.Popen(command, text=True, **streams) as run:
        assert run.stdout.readline() == "1\n"
        run.stdout.close()
        run.stdin.write("\n")
        run.stdin.close()
        assert run.stderr.read() == ""
        assert run.wait(timeout=60) == 128 + signal.SIGPIPE


# ---- tools

# two sleeping children, one of them a grandchild, whose numbers go to the file `pids` in the folder where it runs
TOOL = ["/bin/sh", "-c", "sleep 1000 & echo $! >>pids; (sleep 1000 & echo $! >>pids; echo done >>pids; wait)"]


def started(folder):
    """The process numbers that TOOL wrote to ``folder``."""
    for _ in range(2000):
        if (folder / "pids").exists() and (lines := (folder / "pids").read_text().splitlines()) and "done" in lines:
            return [int(line) for line in lines if line != "done"]
        time.sleep(0.005)
    raise AssertionError("the tool did not start")


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids, seconds):
    """Whether none of them runs within so many seconds."""
    end = time.monotonic() + seconds
    while any(map(runs, pids)) and time.monotonic() < end:
        time.sleep(0.005)
    return not any(map(runs, pids))


def ended(pids):
    """Whether they have closed all their files by now, and run no more a moment later.

    The kernel closes the files of what is killed, which is what a tool is waited for, a moment before it ends it.
    """
    return not any(map(open_files, pids)) and gone(pids, 10)


def open_files(pid):
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []


def test_a_killed_parent_leaves_nothing(tmp_path):
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from myhdl_fsa.workbench import tools
        from myhdl_fsa.workbench.temporary import temporary_folder
        with temporary_folder(Path(sys.argv[1])) as folder:
            print(folder, flush=True)
            tools.run({TOOL!r}, folder)
    """)
    command = [sys.executable, "-c", script, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        folder = Path(run.stdout.readline().strip())
        pids = started(folder)
        group = os.getpgid(pids[0])
        assert len(pids) == 2
        assert all(map(runs, pids))
        assert group not in (os.getpgid(run.pid), os.getpgid(0))
        run.kill()
    assert gone([*pids, group], 10)
    assert folder.is_dir()
    with temporary_folder(tmp_path) as fresh:
        assert list(tmp_path.iterdir()) == [fresh]
        # one that is held is no abandoned one
        assert discard_abandoned(tmp_path) == 0
        assert fresh.is_dir()
    assert not list(tmp_path.iterdir())


def test_the_end_of_a_tool_is_the_end_of_what_it_left_running(tmp_path):
    done = tools.run(["/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!; echo no >&2; exit 3"], tmp_path)
    assert (done.returncode, done.stderr) == (3, "no\n")
    assert gone([int(done.stdout)], 10)


def test_an_exception_ends_a_tool_before_it_goes_on(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        tools.started(TOOL, tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT),
    ):
        pids = started(tmp_path)
        assert all(map(open_files, pids))
        raise ZeroDivisionError
    assert ended(pids)


def test_a_tool_that_takes_too_long(tmp_path):
    with pytest.raises(subprocess.TimeoutExpired):
        tools.run(TOOL, tmp_path, timeout=0.2)
    assert ended(started(tmp_path))


def test_temporary_files_of_a_tool(tmp_path):
    done = tools.run(["/bin/sh", "-c", 'echo "$TMPDIR $TMP $TEMP $MAKEFLAGS"; cat'], scratch=tmp_path)
    assert done.stdout.split() == [str(tmp_path)] * 3


def test_a_tool_that_cannot_be_started(tmp_path):
    with pytest.raises(FileNotFoundError):
        tools.run([str(tmp_path / "none")])
