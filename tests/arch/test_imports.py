# SPDX-License-Identifier: Apache-2.0
"""What an import pulls in. Import directions are checked by import-linter (``make imports``)."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "amaranth", "cocotb", "sklearn", "matplotlib"}


def loaded(statement: str) -> set[str]:
    """Return the top-level modules that a fresh Python has loaded behind ``statement``."""
    code = f"{statement}\nimport sys\nprint(*sorted(sys.modules), sep='\\n')"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    return {line.partition(".")[0] for line in printed.splitlines()}


@pytest.mark.parametrize(
    "statement",
    [
        "import tritone",
        "import tritone.spec.render",
        "import tritone.graph",
        "import tritone.golden.machine",
        "import tritone.compiler",
        "import tritone.estimate.front",
        "import tritone.cli.app",
        "import tritone.cli.show",
    ],
)
def test_light_packages_stay_light(statement: str) -> None:
    """Neither torch nor amaranth nor cocotb is needed to look at a program."""
    assert loaded(statement) & HEAVY == set()


def test_spec_needs_the_standard_library_only() -> None:
    """The specification is read without numpy, too."""
    modules = [
        "area",
        "catalog",
        "codebook",
        "fixed",
        "host_link",
        "isa",
        "machine",
        "program",
        "record",
        "regmap",
        "render",
        "storage",
    ]
    statement = "import " + ", ".join(f"tritone.spec.{name}" for name in modules)
    assert loaded(statement) & (HEAVY | {"numpy", "safetensors", "rich", "typer"}) == set()


def test_gateware_needs_no_training() -> None:
    """Verilog is generated without torch."""
    assert loaded("import tritone_hw.emit") & {"torch", "sklearn", "cocotb", "numpy"} == set()
