"""``fsa-sim``: attention on the simulated machine, measured against torch and the golden model; or any program."""

from __future__ import annotations

import click

from myhdl_fsa.cli.attention import run_attention
from myhdl_fsa.cli.cache import check_cache_limit, clear_cache
from myhdl_fsa.cli.command import GroupedCommand
from myhdl_fsa.cli.common import CONTEXT, config_usage, load_config
from myhdl_fsa.cli.outputs import Recorder, check_build_dir, check_outputs, check_wave_bounds
from myhdl_fsa.cli.programs import run_program
from myhdl_fsa.cli.sim_options import CONSTRAINTS, GROUPS, Options
from myhdl_fsa.config import ConfigError

__all__ = ["main"]


@click.command("fsa-sim", cls=GroupedCommand, groups=GROUPS, constraints=CONSTRAINTS, context_settings=CONTEXT)
@click.version_option(package_name="myhdl-fsa")
def main(**given: object) -> int:
    """Run attention on the array and print its errors against torch and float64, its cycles and its utilisation."""
    if given.pop("clear_cache"):
        return clear_cache(click.get_current_context())
    options = Options(**given)  # type: ignore[arg-type]
    config = load_config(options.config, options.reciprocal)
    check_build_dir(options)
    check_cache_limit(options)
    check_outputs(options)
    check_wave_bounds(options)
    if options.runs_device or options.program is not None or options.dump_asm is not None:
        try:
            config.check_accelerator()
        except ConfigError as error:
            raise config_usage(options.config, error) from None
    recorder = Recorder(options)
    run = run_attention if options.program is None else run_program
    return run(options, config, recorder)


if __name__ == "__main__":
    main()
