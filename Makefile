# The development commands. `make sim` and `make test` work on a fresh Debian machine that has Python 3.11 with venv.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TESTING := $(VENV)/.installed-for-tests
LINT_TREE := build/lint/myhdl_fsa
SOURCES := myhdl_fsa convert sims tests docs $(wildcard benchmarks examples)
PYTEST := $(BIN)/python -m pytest -n 2

.PHONY: help install sim test test-slow convert-check lint docs docs-tables docs-pictures docs-links bench clean hdl-tools \
  soc-sim soc-tools fpga

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

install: $(INSTALLED) ## a virtual environment in .venv with what running needs, in the versions of constraints.txt

# A stamp is newer than what the installation depends on, so a second run installs nothing. What runs needs less than
# what is tested.
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "make: error: $(PYTHON) is missing or older than Python 3.11; name another with PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e .
	@touch $@

$(TESTING): $(INSTALLED)
	$(PIP_INSTALL) -e '.[test,lint]'
	@touch $@

sim: $(INSTALLED) ## the 4x4 array on 4 queries and 4 keys
	$(BIN)/fsa-sim --seq-q 4 --seq-kv 4
	@echo "fsa-sim and fsa-convert are in $(BIN): . $(BIN)/activate puts them on the path" >&2

test: $(TESTING) hdl-tools soc-tools lint ## lint, then every test that is not slow
	$(PYTEST) -m "not slow"

test-slow: $(TESTING) hdl-tools soc-tools ## the slow tests alone
	$(PYTEST) -m slow

# The testbench needs no Python: the commands are those of docs/verilog.md.
CONVERTED := build/convert-check
convert-check: $(TESTING) hdl-tools ## the 4x4 machine as Verilog: lint, and its testbench in Icarus and Verilator
	@rm -rf $(CONVERTED)
	$(BIN)/fsa-convert --config FSA4X4Fp16Config --testbench --check --out $(CONVERTED)
	cd $(CONVERTED) && $(CURDIR)/$(BIN)/python -m myhdl_fsa.convert.lint $$(cat fsa_accelerator.f)
	cd $(CONVERTED) && iverilog -g2005 -o tb.vvp -s tb_fsa_accelerator -f fsa_accelerator.f tb_fsa_accelerator.v && vvp -N tb.vvp
	cd $(CONVERTED) && verilator --binary --timing -j 0 --top-module tb_fsa_accelerator -f fsa_accelerator.f \
	  tb_fsa_accelerator.v >build.log || { cat build.log; exit 1; }
	cd $(CONVERTED) && obj_dir/Vtb_fsa_accelerator

lint: $(TESTING) ## ruff and mypy
	$(BIN)/ruff check $(SOURCES)
	@rm -rf build/lint && mkdir -p $(LINT_TREE)
	@cd $(LINT_TREE) && ln -s ../../../myhdl_fsa/* ../../../convert ../../../sims .
	$(BIN)/mypy

bench: $(INSTALLED) hdl-tools ## the figures of docs/speed.md
	$(PIP_INSTALL) -e '.[bench]'
	@scripts=(benchmarks/*.py); test -e "$${scripts[0]}" || { echo "make: error: benchmarks/ holds no script" >&2; exit 1; }; \
	for script in "$${scripts[@]}"; do echo "== $$script"; $(BIN)/python "$$script"; done

# Warnings are errors, and so is a reference that leads nowhere. No network is needed.
SPHINX = $(BIN)/python -m sphinx -q -n -W --keep-going -d build/doctrees
DOCUMENTING := $(VENV)/.installed-for-docs
$(DOCUMENTING): $(INSTALLED)
	$(PIP_INSTALL) -e '.[docs]'
	@touch $@

docs: $(DOCUMENTING) ## the pages of docs/ as a site, in build/docs
	$(BIN)/python docs/tables.py --check
	$(SPHINX) -b html docs build/docs
	@echo "build/docs/index.html"

docs-tables: $(DOCUMENTING) ## write the tables that stand in docs/*.md from the code
	$(BIN)/python docs/tables.py

docs-pictures: $(TESTING) hdl-tools ## make the pictures of runs in docs/ anew, in Chromium
	$(BIN)/python docs/pictures.py

docs-links: $(DOCUMENTING) ## ask the network whether the links that lead out of docs/ are alive
	$(SPHINX) -b linkcheck docs build/linkcheck

# Icarus and Verilator simulate the converted Verilog; a C++ compiler and make build what Verilator writes.
# cocotb loads Python's shared library into Icarus, which Debian packages apart from the interpreter. Chromium opens
# the HTML pages that are written; playwright drives it and downloads no browser of its own. tclsh runs the scripts that
# are written for Vivado, with its commands stubbed.
LIBPYTHON = libpython$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
HAS_LIBPYTHON = $(BIN)/python -c 'import find_libpython, sys; sys.exit(find_libpython.find_libpython() is None)'
HDL_PACKAGES = iverilog verilator g++ make chromium tcl $(LIBPYTHON)
hdl-tools: $(TESTING)
	@if command -v iverilog >/dev/null && command -v verilator >/dev/null && command -v chromium >/dev/null \
	  && command -v tclsh >/dev/null && $(HAS_LIBPYTHON); then exit 0; fi; \
	$(call DEBIAN_INSTALL,iverilog$(COMMA) verilator$(COMMA) chromium$(COMMA) tclsh or libpython,$(HDL_PACKAGES))

# what is missing, and the packages that bring it
COMMA := ,
define DEBIAN_INSTALL
if [ "$$(id -u)" = 0 ]; then as_root=; elif command -v sudo >/dev/null; then as_root=sudo; else as_root=none; fi; \
	if [ "$$as_root" = none ] || ! command -v apt-get >/dev/null; then \
	  echo "make: error: $(1) is missing; run as root: apt-get install $(2)" >&2; exit 1; fi; \
	echo "Installing $(2)"; \
	{ $$as_root apt-get update -qq && \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2); } >/dev/null \
	  || { echo "make: error: could not install; run as root: apt-get install $(2)" >&2; exit 1; }
endef

# A processor's compiler, and what LiteX's simulation core is built with.
CPU ?= vexriscv
SOC_PACKAGES = gcc-riscv64-unknown-elf libevent-dev libjson-c-dev verilator g++ make
SOC_INSTALLED := $(VENV)/.installed-for-soc
$(SOC_INSTALLED): $(INSTALLED)
	$(PIP_INSTALL) -e '.[soc]'
	@touch $@

soc-tools: $(SOC_INSTALLED)
	@if command -v riscv64-unknown-elf-gcc >/dev/null && command -v verilator >/dev/null && command -v g++ >/dev/null \
	  && test -e /usr/include/event2/event.h && test -e /usr/include/json-c/json.h; then exit 0; fi; \
	$(call DEBIAN_INSTALL,riscv64-unknown-elf-gcc$(COMMA) verilator$(COMMA) g++$(COMMA) libevent or libjson-c,$(SOC_PACKAGES))

soc-sim: soc-tools ## a LiteX SoC with the 4x4 array in Verilator, and attention on its CPU (CPU=rocket: another)
	$(BIN)/fsa-fpga simulate --cpu $(CPU) --seq-q 4 --seq-kv 4

FPGA_INSTALLED := $(VENV)/.installed-for-fpga
$(FPGA_INSTALLED): $(INSTALLED)
	$(PIP_INSTALL) -e '.[fpga,soc]'
	@touch $@

# The fastest 4x4 array, at a clock that it meets on the slowest part.
BOARD ?= ulx3s
CONFIG ?= examples/board/stream4x4.json
CLOCK ?= 36
fpga: $(FPGA_INSTALLED) soc-tools ## a bitstream of a SoC with a 4x4 array for ULX3S, in build/fpga; a quarter of an hour (BOARD=ecpix5: another)
	$(BIN)/fsa-fpga build --board $(BOARD) --config $(CONFIG) --clock $(CLOCK) --out build/fpga

clean: ## remove what the other commands made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find myhdl_fsa convert sims tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
