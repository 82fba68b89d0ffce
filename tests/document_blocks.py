"""The commands and programs of README.md and docs/*.md, found and run as they stand.

A block is a fence. What its language says is done with it:

    none    a session: each line ``$ command``, and below it what that prints; a line ``...`` stands for any lines, and
            times may differ
    python  a program; together with those it follows it prints exactly its lines ``# prints: ...``
    sh      a script, which must succeed, and print each of its lines ``# prints: ...``
    json    a configuration file
    verilog a module that iverilog and Verilator take without a warning
    text    a drawing, or what something printed: no command stands in it
    {...}   a directive of the site, which the site's build checks

Any other language is an error. Each block runs in a folder that holds nothing but examples/. Comments on the lines
before a fence change that:

    <!-- follows -->  in the folder of the block before it, after it; programs are one program then
    <!-- slow -->     needs minutes: a test that is marked slow
    <!-- clone -->    in a fresh clone of the repository, with nothing installed; slow, too
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from myhdl_fsa.config import Config

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
MARKS = ("follows", "slow", "clone")
COMMAND = re.compile(r"^\s*(\$ |fsa-sim|fsa-convert|fsa-fpga|python |pip |make |iverilog|verilator)")
TIMEOUT = 1200


@dataclass(frozen=True)
class Block:
    """A fence of a page, and the comments before it."""

    page: str
    line: int
    language: str
    text: str
    marks: frozenset

    def __str__(self):
        return f"{self.page}:{self.line}"


def blocks(path, text=None):
    """Every fence of a page, in order. Raises AssertionError for a fence that nobody knows how to run."""
    text = path.read_text() if text is None else text
    found = []
    for fence in re.finditer(r"((?:^<!-- [a-z]+ -->\n)*)^```([^\n]*)\n(.*?)^```$", text, re.M | re.S):
        line = text.count("\n", 0, fence.start(2)) + 1
        marks = frozenset(re.findall(r"<!-- (\w+) -->", fence[1]))
        block = Block(path.name, line, fence[2], fence[3], marks)
        assert marks <= set(MARKS), f"{block}: {sorted(marks - set(MARKS))}: known are {', '.join(MARKS)}"
        assert fence[2] in RUN or fence[2] == "text" or re.fullmatch(r"\{[a-z-]+\}.*", fence[2]), (
            f"{block}: {fence[2]!r}: a fence of this language has no rule")
        assert "follows" not in marks or found, f"{block}: follows nothing"
        if fence[2] == "text":
            commands = [line for line in fence[3].splitlines() if COMMAND.match(line)]
            assert not commands, f"{block}: a command that nobody runs"
        found.append(block)
    fences = len(re.findall(r"^```", text, re.M))
    assert fences == 2 * len(found), f"{path.name}: a fence without an end"
    marked = len(re.findall(rf"^<!-- ({'|'.join(MARKS)}) -->$", text, re.M))
    assert marked == sum(len(block.marks) for block in found), f"{path.name}: a mark that no fence follows"
    return found


def chains(path, text=None):
    """The blocks to run, those together that follow each other."""
    found = []
    for block in blocks(path, text):
        if block.language in RUN:
            if "follows" in block.marks:
                found[-1].append(block)
            else:
                found.append([block])
    return found


def expression(printed):
    """What matches the printed text: times may differ, and a line of dots stands for any lines."""
    lines = []
    for line in printed.splitlines():
        if line == "...":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(re.sub(r"\d+\\\.\d s\b", r"\\d+\\.\\d s", re.escape(line).replace(r"\ ", " ")) + r"\n")
    return "".join(lines)


def _shell(command, folder):
    run = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, cwd=folder,
                         env=ENVIRONMENT, check=False, timeout=TIMEOUT)
    assert run.returncode == 0, f"{command}\n{run.stdout}{run.stderr}"
    return run.stdout


def run_session(text, folder):
    """Each command prints what stands below it."""
    commands = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M)
    assert "".join(f"$ {command}\n{printed}" for command, printed in commands) == text, "a session begins with $"
    for command, printed in commands:
        shown = _shell(command, folder)
        assert re.fullmatch(expression(printed), shown), f"{command}\n{shown}"


def run_program(text, folder):
    """A program prints its lines ``# prints: ...`` and nothing else, and no warning."""
    (folder / "program.py").write_text(text)
    run = subprocess.run([sys.executable, "-W", "error", "program.py"], capture_output=True, text=True, cwd=folder,
                         env=ENVIRONMENT, check=False, timeout=TIMEOUT)
    assert run.returncode == 0, run.stderr
    promised = [line.rstrip() for line in re.findall(r"^# prints: ?(.*)$", text, re.M)]
    assert promised, "a program ends with what it prints"
    assert [line.rstrip() for line in run.stdout.splitlines()] == promised, f"the program prints\n{run.stdout}"


def run_script(text, folder):
    """A script succeeds, and prints its lines ``# prints: ...``, among others, in their order."""
    shown = iter(_shell(text, folder).splitlines())
    for promised in re.findall(r"^# prints: (.*)$", text, re.M):
        assert promised in shown, f"the script does not print\n{promised}"


def run_configuration(text, folder):
    """A configuration file is one."""
    Config.from_json(text)


def run_verilog(text, folder):
    """Verilog passes both simulators' lints."""
    (folder / "block.v").write_text(text)
    _shell("verilator --lint-only -Wall block.v && iverilog -g2005 -Wall -o block.vvp block.v", folder)


RUN = {"": run_session, "python": run_program, "sh": run_script, "json": run_configuration, "verilog": run_verilog}


def run(chain, folder):
    """Runs blocks that follow each other, in one folder."""
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    programs = ""
    for index, block in enumerate(chain):
        text = block.text
        if block.language == "python":
            programs += text
            # with those it leads to it is one program
            if any(later.language == "python" for later in chain[index + 1:]):
                continue
            text = programs
        RUN[block.language](text, folder)
