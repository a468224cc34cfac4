# SPDX-License-Identifier: Apache-2.0
"""The project's own files agree with each other, and the documents are current."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tritone.cli.results import read_rows, render_folder
from tritone.cli.results_page import has_picture
from tritone.cli.results_picture import top1_digest
from tritone.spec.machine import PRESETS
from tritone.spec.render import markdown

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAX_BYTES = 500_000


def requirements() -> list[Requirement]:
    """Return what the project and its extras need from elsewhere."""
    texts = [*PROJECT["dependencies"]]
    for extra in PROJECT["optional-dependencies"].values():
        texts += extra
    found = [Requirement(text) for text in texts]
    return [each for each in found if each.name != "tritone"]


def test_constraints_pin_every_dependency() -> None:
    """constraints.txt has one exact version, within the range of pyproject.toml, for each."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {pin.name.lower().replace("_", "-"): pin.specifier for pin in pins}
    assert len(versions) == len(pins)
    for need in requirements():
        (pin,) = versions[need.name]
        assert pin.operator == "=="
        assert need.specifier.contains(pin.version), need


def test_extra_all_is_every_extra() -> None:
    """``tritone[all]`` leaves out only rivals: brevitas wants a setuptools of its own."""
    extras = PROJECT["optional-dependencies"]
    (everything,) = (Requirement(text) for text in extras["all"])
    assert everything.extras == set(extras) - {"all", "bench"}


def test_reference_is_current() -> None:
    """docs/reference.md is what ``make docs`` writes."""
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == markdown(), "not current: make docs"


def test_results_are_rendered_from_their_rows() -> None:
    """docs/results/*.md are what ``tritone report`` renders from the JSON beside them.

    Pictures, whose bytes depend on the version of matplotlib, say what they are of.
    """
    for path, text in render_folder(ROOT / "docs" / "results").items():
        assert path.read_text(encoding="utf-8") == text
        rows = read_rows(path.with_suffix(".json"))
        picture = path.with_suffix(".svg")
        if has_picture(rows):
            assert top1_digest(rows) in picture.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.name) for path in sorted(ROOT.glob("*.md"))]
    + [pytest.param(path, id=path.name) for path in sorted((ROOT / "docs").glob("*.md"))],
)
def test_links_lead_somewhere(path: Path) -> None:
    """A relative link names a file that is there."""
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_documents_name_modules_that_exist() -> None:
    """The blocks of docs/machine.md and the packages of docs/architecture.md are files."""
    text = (ROOT / "docs" / "machine.md").read_text(encoding="utf-8")
    blocks = text.split("## Blocks")[1]
    names = set(re.findall(r"^\|[^|]+\| ([^|]+) \|", blocks, re.MULTILINE)) - {"module", "---"}
    modules = {name for cell in names for name in re.findall(r"`(\w+)`", cell)}
    assert {
        name for name in modules if not (ROOT / "hw/tritone_hw" / f"{name}.py").is_file()
    } == set()
    assert len(modules) >= 10


def test_every_target_of_the_makefile_is_explained() -> None:
    """``make help`` lists all targets but the internal one; each sets up first."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: (\w+)$", text, re.MULTILINE))
    rules = {
        name: (needs.split(), doc)
        for name, needs, doc in re.findall(r"^([a-z]+):([^#\n]*)(## .+)?$", text, re.MULTILINE)
    }
    assert targets == set(rules)
    assert {name for name, (_, doc) in rules.items() if not doc} == {"simulator"}

    def sets_up(name: str) -> bool:
        return any(need == "$(STAMP)" or sets_up(need) for need in rules[name][0])

    assert {name for name in rules if not sets_up(name)} == {"help", "clean"}


def test_make_help_lists_the_targets() -> None:
    """The plain ``make`` explains itself."""
    printed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in ("demo", "test", "train", "export", "compile", "rtl", "sim", "show", "docs"):
        assert re.search(rf"^make {target} +\S", printed, re.MULTILINE)


@pytest.mark.parametrize("target", ["synth", "bitstream"])
def test_a_synthesis_tells_frames_of_a_run_that_is_given(target: str, tmp_path: Path) -> None:
    """Of no other: the run that lies where a demonstration put it may not fit the machine."""
    (tmp_path / "runs" / "digits" / "graph").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()

    def command(*variables: str) -> str:
        return subprocess.run(
            [
                "make",
                "--no-print-directory",
                "-n",
                "-f",
                str(ROOT / "Makefile"),
                target,
                *variables,
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert f"-m tritone {target} " in command()
    assert "--run" not in command("MACHINE=tiny_uniform")
    assert "--run runs/other" in command("RUN=runs/other")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_no_large_or_generated_files_are_tracked() -> None:
    """Data, waves, netlists and weights are made, not kept."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    paths = [ROOT / name for name in tracked]
    assert [path for path in paths if path.exists() and path.stat().st_size > MAX_BYTES] == []
    made = {".v", ".vcd", ".fst", ".safetensors", ".bin", ".pt", ".pth", ".png", ".npy", ".pkl"}
    assert [path for path in paths if path.suffix in made] == []


def test_presets_of_the_first_bars_exist() -> None:
    """The demonstration's machine and the ones for tests keep their names."""
    assert {"demo", "tiny", "tiny-p2", "tiny-p4"} <= set(PRESETS)
