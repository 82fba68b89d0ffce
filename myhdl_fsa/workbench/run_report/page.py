"""The report as one HTML file: the template beside this module, filled with what is reported and its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from myhdl_fsa.engine.cycle_use import CAUSES
from myhdl_fsa.workbench import report as lines
from myhdl_fsa.workbench.run_report import figures
from myhdl_fsa.workbench.run_report.contents import RunReport
from myhdl_fsa.workbench.run_report.cycle_split import LABELS, CycleSplit, Part
from myhdl_fsa.workbench.run_report.intermediates import MEANINGS
from myhdl_fsa.workbench.run_report.svg import variable
from myhdl_fsa.workbench.templates import template

__all__ = ["html"]

_CAUSE_WORDS = {"Q": "a tile of Q", "K": "a tile of K", "V": "a tile of V", "store of O": "a result to be stored",
                "host": "instruction words", "array": "the array"}


def html(report: RunReport) -> bytes:
    """The page, UTF-8: the same for the same report."""
    from markupsafe import Markup

    drawings = {name: Markup(svg) for name, svg in _figures(report).items()}
    splits = [machine for machine in report.machines if machine.split is not None]
    page = template(__package__, "page.html",
                    filters={"count": _count, "percent": _percent, "error": str, "size": _size})
    text: str = page.render(
        report=report, figures=drawings, labels=LABELS, meanings=MEANINGS, causes=CAUSES, cause_words=_CAUSE_WORDS,
        variable=variable, counter_title=lines.counter_title, facts=_facts(report), splits=splits,
        split_rows=_split_rows([one.split for one in splits if one.split is not None]))
    return text.encode()


def _figures(report: RunReport) -> dict[str, str]:
    found = {}
    for number, measured in enumerate(report.measured):
        name = f"histogram-{number}"
        found[name] = figures.error_histogram(measured, name, f"about-{name}")
    found["steps"] = figures.step_errors(report.intermediates.steps, "steps", "about-steps")
    split = [machine for machine in report.machines if machine.split is not None]
    if split:
        found["bars"] = figures.cycle_bars(split, "bars", "about-bars")
    for machine in split:
        if machine.result.stretches is not None:
            name = f"along-{machine.dataflow}"
            found[name] = figures.along_the_run(machine.result.stretches, name, f"about-{name}")
    if any(machine.roofline is not None for machine in split):
        found["roofline"] = figures.roofline_plot(split, "roofline", "about-roofline")
    return found


def _split_rows(splits: Sequence[CycleSplit]) -> list[tuple[str, list[Part]]]:
    """By key what each run has of it; what none has is left out."""
    by_run = [{part.key: part for part in split.parts} for split in splits]
    return [(key, [parts.get(key, Part(key, 0, 0.0)) for parts in by_run]) for key in LABELS
            if any(key in parts for parts in by_run)]


def _facts(report: RunReport) -> Sequence[tuple[str, str]]:
    """What was run, a row each."""
    config, shape, record = report.config, report.shape, report.record
    sizes = f"Q [{shape.seq_q}, {shape.head_dim}], K [{shape.seq_kv}, {shape.head_dim}], V [{shape.seq_kv}, " \
            f"{shape.value_dim}]"
    if shape.stacked:
        sizes += f", batch {shape.batch}, {shape.heads} heads, {shape.kv_heads} of K and V"
    engines = {"myhdl": "the MyHDL model", "golden": "the golden model alone", "verilator": "its Verilog in Verilator",
               "icarus": "its Verilog in Icarus"}
    found = [("Attention", f"{sizes}{', causal' if shape.causal else ''}; scores times {report.scale:.6g}")]
    tensors: dict[str, Any] = record.tensors or {}
    if tensors.get("source") == "generated":
        found.append(("Tensors", f"{tensors['distribution']}, seed {tensors['seed']}"))
    found += [("Tensor file", f"{file.option} {file.path}, SHA-256 {file.sha256 or 'of a pipe: unknown'}")
              for file in record.inputs]
    found += [
        ("Configuration", f"{report.config_name}: {config.rows} x {config.cols} array, {config.elem} in, {config.acc} "
                          f"accumulated, 1 / L by {config.reciprocal}"),
    ]
    if report.engine == "golden":
        found.append(("Run by", engines["golden"]))
    else:
        top = "the bare core" if report.top == "core" else "the whole device"
        found += [("Dataflow", ", ".join(machine.dataflow for machine in report.machines)),
                  ("Run by", f"{engines[report.engine]}, {top}")]
    if record.timing is not None:
        timing = record.timing
        stalls = "" if timing["stall_seed"] is None else f"; random stalls, seed {timing['stall_seed']}"
        found.append(("Memory", f"{config.memory_ports} port{'s' * (config.memory_ports > 1)} of {config.beat_bytes} "
                                f"bytes; reads: latency {timing['read_latency']}, {timing['read_bandwidth']} beats a "
                                f"cycle; writes: {timing['write_latency']}, {timing['write_bandwidth']}{stalls}"))
        found.append(("Host", f"an instruction word every {timing['push_interval']} cycles at most"
                      if timing["push_interval"] > 1 else "instruction words as fast as the device takes them"))
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items() if version is not None)
    found.append(("Versions", ", ".join([versions, *record.tools.values()])))
    return found


def _count(value: int) -> str:
    """Groups of three digits from five digits on."""
    return str(value) if value < 10_000 else f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _size(value: float) -> str:
    return "none" if math.isnan(value) else "0" if value == 0 else f"{value:.2e}"
