"""The build cache on the command line: ``--clear-cache``, and the limit that the environment may set."""

from __future__ import annotations

import os
from pathlib import Path

import click

from myhdl_fsa.cli.sim_options import Options
from myhdl_fsa.engine import BUILDING_ENGINES

__all__ = ["check_cache_limit", "clear_cache"]


def clear_cache(context: click.Context) -> int:
    """Empties the cache of --build-dir and says what that freed. Raises click's errors of one line."""
    from myhdl_fsa.sims.build_cache import default_root
    from myhdl_fsa.sims.cache_space import clear

    named: Path | None = context.params["build_dir"]
    if named is not None and named.exists() and not named.is_dir():
        raise click.UsageError(f"--build-dir {named}: is not a folder")
    root = default_root() if named is None else Path(os.path.abspath(named))
    done = clear(root)
    if not context.params["quiet"]:
        click.echo(f"Removed {_count(done.builds)} from {root}: {done.freed / 1e6:.1f} MB freed")
        if done.in_use:
            click.echo(f"Kept {_count(done.in_use)} that running processes use")
    if done.failures:
        more = f", and {len(done.failures) - 1} more" if len(done.failures) > 1 else ""
        raise click.ClickException(f"--clear-cache: cannot remove {done.failures[0]}{more}")
    return 0


def check_cache_limit(options: Options) -> None:
    """Raises click.UsageError for a limit of the environment that is none, when something may be built."""
    if options.engine_used not in BUILDING_ENGINES and options.lockstep is None:
        return
    from myhdl_fsa.sims.cache_space import CacheLimitError, limit

    try:
        limit()
    except CacheLimitError as error:
        raise click.UsageError(str(error)) from None


def _count(builds: int) -> str:
    return f"{builds} build" + ("" if builds == 1 else "s")
