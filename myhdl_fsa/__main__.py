"""``python -m myhdl_fsa``: the same as ``fsa-sim``."""

from __future__ import annotations

from myhdl_fsa.cli.sim import main

if __name__ == "__main__":
    main()
