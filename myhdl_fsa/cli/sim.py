"""``fsa-sim``: attention on the simulated machine, measured against torch and the golden model; or any program."""

from __future__ import annotations

import click

from myhdl_fsa.cli.attention import run_attention
from myhdl_fsa.cli.cache import check_cache_limit, clear_cache
from myhdl_fsa.cli.command import GroupedCommand, said
from myhdl_fsa.cli.common import CONTEXT, check_accelerator, load_config, with_dataflow
from myhdl_fsa.cli.comparison import run_comparison
from myhdl_fsa.cli.outputs import Recorder, check_build_dir, check_outputs, check_wave_bounds
from myhdl_fsa.cli.programs import run_program
from myhdl_fsa.cli.recordings import check_recordable
from myhdl_fsa.cli.sim_options import CONSTRAINTS, GROUPS, Options

__all__ = ["main"]


@click.command("fsa-sim", cls=GroupedCommand, groups=GROUPS, constraints=CONSTRAINTS, context_settings=CONTEXT)
@click.version_option(package_name="myhdl-fsa")
def main(**given: object) -> int:
    """Run attention on the array and print its errors against torch and float64, its cycles and its utilisation."""
    if given.pop("clear_cache"):
        return clear_cache(click.get_current_context())
    options = Options(**given)  # type: ignore[arg-type]
    config = load_config(options.config, options.reciprocal)
    chooses = next((said(name) for name in ("--dataflow", "--compare") if getattr(options, name[2:]) is not None), None)
    machines = [with_dataflow(options.config, config, dataflow, chooses)
                for dataflow in options.compare or (options.dataflow,)]
    check_recordable(options, config)
    check_build_dir(options)
    check_cache_limit(options)
    check_outputs(options)
    check_wave_bounds(options)
    if options.runs_device or options.program is not None or options.dump_asm is not None:
        for machine in machines:
            check_accelerator(options.config, machine, chooses)
    recorder = Recorder(options)
    if options.compare is not None:
        return run_comparison(options, config, machines, recorder)
    run = run_attention if options.program is None else run_program
    return run(options, machines[0], recorder)


if __name__ == "__main__":
    main()
