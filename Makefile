# SPDX-License-Identifier: Apache-2.0
# One entry for everything. `make help` lists the targets; each is a thin wrapper of `tritone`.

RECIPE  ?= digits
RUN     ?= runs/$(basename $(notdir $(RECIPE)))
MACHINE ?= demo
DATASET ?= digits
# Recipes of a sweep, and the table (.json) that gets their rows; none: no table.
FOLDER  ?= docs/results/recipes
RESULTS ?=
# Held-out images that go through the Verilog; 0 means all of them.
IMAGES  ?= 0
# 1 records waves (FST) of the simulation.
WAVES   ?= 0
BUILD   ?= build
# Device of a synthesis, and how many placements of it to try. RUN, where it is given, is the run
# whose frames a second are told.
TARGET  ?= ecp5-85k
SEEDS   ?= 1
# A board to make a bitstream for, and the serial port at which one is.
BOARD   ?= ulx3s_85f
PORT    ?= /dev/ttyUSB0

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

VENV    := .venv
PYTHON  := $(VENV)/bin/python
TRITONE := $(PYTHON) -m tritone
# The stamp's name holds the place and what is installed, so that a change of either installs again,
# and an installation that was interrupted leaves no stamp.
STAMP   := $(VENV)/.installed-$(shell (pwd; cat pyproject.toml constraints.txt) | cksum | cut -d' ' -f1)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

.PHONY: help
help: ## list the targets
	@awk -F ': .*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "variables: RECIPE RUN MACHINE IMAGES DATASET FOLDER RESULTS WAVES TARGET SEEDS BOARD PORT, for example make sim RUN=runs/digits IMAGES=10"

$(STAMP): pyproject.toml constraints.txt
	@found=; \
	for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	  if command -v $$each >/dev/null && \
	     $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then found=$$each; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "error: Python 3.11 or newer is missing: apt-get install python3 python3-venv" >&2; exit 2; \
	fi; \
	if ! $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	  if ! $$found -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "error: Python's venv is missing: apt-get install python3-venv" >&2; exit 2; \
	  fi; \
	  echo "setup: creating $(VENV) with $$($$found --version)"; \
	  rm -rf $(VENV); $$found -m venv $(VENV); \
	fi; \
	echo "setup: installing into $(VENV), once; torch makes it some minutes"; \
	rm -f $(VENV)/.installed-*; \
	$(PYTHON) -m pip install --disable-pip-version-check -c constraints.txt -e '.[all]' | \
	  sed -un 's/^Collecting \([^ ]*\).*/  \1/p; s/^Installing collected.*/  unpacking all of them/p'; \
	touch $@

.PHONY: setup
setup: $(STAMP) ## create .venv and install everything into it (implied by every target)

# What a simulation needs beside Python: a C++ compiler, and Python's shared library for cocotb.
.PHONY: simulator
simulator: $(STAMP)
	@command -v g++ >/dev/null || { echo "error: g++ is missing: apt-get install g++" >&2; exit 2; }
	@$(PYTHON) -c 'import sys, find_libpython as f; sys.exit(f.find_libpython() is None)' || \
	  { echo "error: Python's shared library is missing: apt-get install libpython3-dev" >&2; exit 2; }
	@if [ "$(WAVES)" = 1 ]; then \
	  printf '#include <lz4.h>\n#include <zlib.h>\n' | g++ -x c++ -E - >/dev/null 2>&1 || \
	  { echo "error: WAVES=1 needs headers: apt-get install liblz4-dev zlib1g-dev" >&2; exit 2; }; fi

.PHONY: demo
demo: simulator ## the whole way: train, export, compile, generate Verilog, simulate, compare
	@$(TRITONE) train digits --run runs/demo
	@$(TRITONE) export runs/demo
	@$(TRITONE) check runs/demo
	@$(TRITONE) compile runs/demo --machine demo
	@$(TRITONE) rtl --machine demo --build $(BUILD)
	@$(TRITONE) sim runs/demo --images $(IMAGES)
	@$(TRITONE) show runs/demo --summary

.PHONY: test
test: lint types imports simulator ## everything that must pass
	@$(PYTHON) -m pytest -n 2 --dist worksteal

.PHONY: check
check: lint types imports ## what is quick: lint, types, import directions

.PHONY: lint
lint: $(STAMP) ## ruff: rules and format
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m ruff format --check --quiet . || \
	  { echo "error: not formatted: $(PYTHON) -m ruff format ." >&2; exit 1; }

.PHONY: types
types: $(STAMP) ## mypy --strict on tritone
	@$(PYTHON) -m mypy --no-error-summary

.PHONY: imports
imports: $(STAMP) ## who imports whom (docs/architecture.md)
	@$(PYTHON) -c 'from importlinter.cli import lint_imports_command as main; main()' > $(VENV)/imports.txt || \
	  { cat $(VENV)/imports.txt; exit 1; }

.PHONY: data
data: $(STAMP) ## fetch and check a data set (DATASET)
	@$(TRITONE) data $(DATASET)

.PHONY: train
train: $(STAMP) ## train RECIPE into RUN; resumes what was interrupted
	@$(TRITONE) train $(RECIPE) --run $(RUN)

.PHONY: sweep
sweep: $(STAMP) ## train, export and check every recipe in FOLDER; goes on where it was
	@$(TRITONE) sweep $(FOLDER) --export $(if $(RESULTS),--results $(RESULTS))

.PHONY: export
export: $(STAMP) ## freeze RUN to integers
	@$(TRITONE) export $(RUN)

.PHONY: compile
compile: $(STAMP) ## make RUN/program.bin for MACHINE
	@$(TRITONE) compile $(RUN) --machine $(MACHINE)

.PHONY: rtl
rtl: $(STAMP) ## generate the Verilog and C header of MACHINE in build/
	@$(TRITONE) rtl --machine $(MACHINE) --build $(BUILD)

.PHONY: ip
ip: $(STAMP) ## MACHINE as a block for Vivado, FuseSoC and LiteX, with drivers, in build/ip/
	@$(TRITONE) ip --machine $(MACHINE) --build $(BUILD)

.PHONY: synth
synth: $(STAMP) ## area and clock of MACHINE on the device TARGET, over SEEDS placements
	@$(TRITONE) synth --machine $(MACHINE) --target $(TARGET) --seeds $(SEEDS) --build $(BUILD) \
	  $(if $(filter-out file,$(origin RUN)),--run $(RUN))

# The demonstration's machine is slow to place and larger than the digits need: by default the
# command's own.
.PHONY: bitstream
bitstream: $(STAMP) ## MACHINE with memory and a serial port, for BOARD, in build/board/
	@$(TRITONE) bitstream --board $(BOARD) --seeds $(SEEDS) --build $(BUILD) \
	  $(if $(filter-out file,$(origin MACHINE)),--machine $(MACHINE)) \
	  $(if $(filter-out file,$(origin RUN)),--run $(RUN))

.PHONY: run
run: $(STAMP) ## RUN's program on IMAGES images, on the board at PORT
	@$(TRITONE) run $(RUN) --port $(PORT) --images $(IMAGES)

.PHONY: sim
sim: simulator ## simulate RUN's program on IMAGES images and compare every tensor
	@$(TRITONE) sim $(RUN) --images $(IMAGES) $(if $(filter 1,$(WAVES)),--waves)

# Minutes for each family: yosys maps the machine, and Verilator takes its cells one by one.
.PHONY: netlist
netlist: simulator ## the same with what yosys makes of the machine, for ECP5 and the 7 series
	@$(TRITONE) sim $(RUN) --images $(IMAGES) --build $(BUILD)
	@for each in ecp5 xc7; do \
	  $(TRITONE) sim $(RUN) --netlist $$each --images $(IMAGES) --build $(BUILD); done

.PHONY: show
show: $(STAMP) ## tables and pictures of RUN
	@$(TRITONE) show $(RUN)

.PHONY: docs
docs: $(STAMP) ## write docs/reference.md from tritone.spec
	@$(PYTHON) -m tritone.spec.render docs/reference.md

.PHONY: clean
clean: ## remove what was generated, but not runs/ and .venv
	@rm -rf $(BUILD) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
