# SPDX-License-Identifier: Apache-2.0
"""Rules of CONTRIBUTING.md that a program can check, for every source file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"sw/tritone": "", "hw/tritone_hw": "hw", "sim/tritone_sim": "sim"}
MAX_LINES = 400
# What has no meaning without a simulation is tested by the test modules that run one.
TESTED_BY = {
    "sw/tritone/compiler/parameters.py": "tests/compiler/test_emit.py",
    "hw/tritone_hw/one_rail_unit.py": "tests/hw/test_plane_unit.py",
    "sim/tritone_sim/runner.py": "tests/sim/test_build.py",
    "sim/tritone_sim/verification.py": "tests/system/test_sabotage.py",
    "sim/tritone_sim/serial_bench.py": "tests/sim/test_serial_board.py",
    "hw/tritone_hw/board/hosted_accelerator.py": "tests/system/test_board.py",
    "hw/tritone_hw/ip/tritone_litex.py": "tests/hw/ip/test_tritone_soc.py",
}
SPDX = "# SPDX-License-Identifier: Apache-2.0"

SOURCES = sorted(path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
EVERY = [
    pytest.param(path, id=str(path.relative_to(ROOT)))
    for path in (*SOURCES, *TESTS, ROOT / ".ci" / "run", ROOT / "Makefile")
]
MODULES = [
    pytest.param(path, id=str(path.relative_to(ROOT)))
    for path in SOURCES
    if path.name not in ("__init__.py", "__main__.py")
]


def test_there_are_sources() -> None:
    """The rules below are about files that exist."""
    assert len(SOURCES) > 40
    assert len(TESTS) > 20


@pytest.mark.parametrize("path", EVERY)
def test_licence_and_length(path: Path) -> None:
    """A file begins with its licence (behind #!) and has at most 400 lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert SPDX in lines[: 1 + lines[0].startswith("#!")]
    assert len(lines) <= MAX_LINES


@pytest.mark.parametrize("path", MODULES)
def test_every_module_has_a_test_module(path: Path) -> None:
    """Tests mirror the packages: sw/tritone/spec/isa.py has tests/spec/test_isa.py."""
    folder = next(folder for folder in PACKAGES if path.is_relative_to(ROOT / folder))
    inside = path.relative_to(ROOT / folder)
    mirror = Path("tests") / PACKAGES[folder] / inside.parent / f"test_{inside.name}"
    test = TESTED_BY.get(str(path.relative_to(ROOT)), mirror)
    assert (ROOT / test).is_file(), f"{test} is missing"
    assert test == mirror or not (ROOT / mirror).exists(), "no exception is needed any more"


@pytest.mark.parametrize("path", MODULES)
def test_a_module_says_what_it_is_and_exports(path: Path) -> None:
    """A module has a docstring and an ``__all__`` of names that it defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    exported = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    defined = {
        name.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for name in ast.walk(node)
        if isinstance(name, ast.Name)
    }
    defined |= {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    defined |= {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(exported) <= defined


@pytest.mark.parametrize("path", EVERY)
def test_nothing_is_left_lying_about(path: Path) -> None:
    """No star imports, no notes of things to do, no switched-off checks without a reason."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*from \S+ import \*", text, re.MULTILINE)
    assert not re.search(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b", text)
    assert not re.search(r"#\s*no" + r"qa", text)
    assert not re.search(r"#\s*type:\s*ignore(?!\[[a-z-]+(, [a-z-]+)*\]\s+#)", text)
    assert path.stem not in ("utils", "helpers", "common")
