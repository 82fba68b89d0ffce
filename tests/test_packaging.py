"""What an installation holds: myhdl_fsa and nothing else, complete, and working without a checkout."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
# Where each folder of the tree is installed.
FOLDERS = {"myhdl_fsa": "myhdl_fsa", "convert": "myhdl_fsa/convert", "sims": "myhdl_fsa/sims"}


def call(*args, **kwargs):
    run = subprocess.run([str(arg) for arg in args], capture_output=True, text=True, timeout=300, check=False, **kwargs)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of this tree, built in a copy of it, so that nothing left by an earlier build gets in."""
    scratch = tmp_path_factory.mktemp("wheel")
    tree = scratch / "tree"
    tree.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    call(*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", scratch, tree)
    (built,) = scratch.glob("*.whl")
    return built


def test_a_wheel_holds_the_whole_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {re.sub(r"-.*\.dist-info$", ".dist-info", name.split("/")[0]) for name in names} == {
        "myhdl_fsa",
        "myhdl_fsa.dist-info",
    }
    for folder, installed in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            assert f"{installed}/{path.relative_to(ROOT / folder).as_posix()}" in names
    assert "myhdl_fsa/workbench/run_report/page.html" in names
    assert not [name for name in names if name.startswith("myhdl_fsa/") and re.match("test_|conftest", Path(name).name)]


def test_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        info = next(name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name)
        metadata = archive.read(f"{info}/METADATA").decode()
        commands = archive.read(f"{info}/entry_points.txt").decode()
        assert any("LICENSE" in name for name in archive.namelist())
    assert "Name: myhdl-fsa\n" in metadata
    assert "Requires-Python: >=3.11\n" in metadata
    required = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", metadata, re.M)
    assert set(required) == {
        "click", "filelock", "jinja2", "matplotlib", "myhdl", "numpy", "pillow", "platformdirs", "pydantic", "pyvcd",
        "rich", "torch",
    }
    assert "fsa-sim = myhdl_fsa.cli.entry:fsa_sim" in commands
    assert "fsa-convert = myhdl_fsa.cli.entry:fsa_convert" in commands
    assert "fsa-wave-value = myhdl_fsa.cli.entry:fsa_wave_value" in commands


def test_an_installation_works_without_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    call(*PIP, "install", "--quiet", "--no-deps", "--target", site, wheel)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    elsewhere = {"cwd": tmp_path, "env": environment}
    where = "import myhdl_fsa, myhdl_fsa.convert, myhdl_fsa.sims as s; print(myhdl_fsa.__file__, s.__file__, sep='\\n')"
    for file in call(sys.executable, "-c", where, **elsewhere).splitlines():
        assert Path(file).is_relative_to(site)
    fsa_sim = (sys.executable, site / "bin" / "fsa-sim")
    assert call(*fsa_sim, "--diff-only", **elsewhere).startswith("Error of golden vs torch")
    assert call(*fsa_sim, **elsewhere).startswith("Error of FSA vs torch")


def test_constraints_pin_every_requirement_exactly():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[0-9][\w.]*", line) for line in lines)
    pins = dict(line.lower().split("==") for line in lines)
    assert pins["torch"] == "2.13.0"
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = "\n".join([setup["options"]["install_requires"], *setup["options.extras_require"].values()])
    names = re.findall(r"^([\w-]+)", wanted, re.M)
    assert len(names) >= 12
    assert set(names) <= set(pins)


def test_continuous_integration_can_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
