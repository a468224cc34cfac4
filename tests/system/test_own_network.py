# SPDX-License-Identifier: Apache-2.0
"""A user's network, of a file: trained, exported, checked, drawn, compiled, shown, explored."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.numpy
from own_network import NETWORK, write_recipe

from tritone.cli.app import main
from tritone.compiler import pack_images
from tritone.golden import layers
from tritone.golden.machine import GoldenMachine
from tritone.graph import Network
from tritone.qat.recipe import load_recipe
from tritone.spec.program import Program


@pytest.fixture
def refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., str]:
    """``refused(*arguments)``: the one line of a command that must end with exit code 2."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(arguments) == 2
        found = capsys.readouterr()
        assert found.out == ""
        (line,) = found.err.splitlines()
        return line.removeprefix("error: ")

    return run


def test_from_a_file_to_the_golden_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command behind ``train`` needs the run folder only: the file is gone then."""
    monkeypatch.chdir(tmp_path)
    recipe = write_recipe(Path("here"))
    assert main(["draw", str(recipe), "--run", "drawn"]) == 0
    assert json.loads(Path("drawn/untrained.json").read_text())["model"] == "MyNet"
    assert main(["train", str(recipe), "--run", "run"]) == 0
    assert json.loads(Path("run/train.json").read_text())["model"] == "MyNet"
    assert Path("run/my_net.py").read_text() == NETWORK
    assert load_recipe("run/recipe.toml") == load_recipe(recipe)
    Path("here/nets/my_net.py").unlink()
    for command in ("export", "check"):
        assert main([command, "run"]) == 0
    assert json.loads(Path("run/check.json").read_text())["mismatches"] == 0
    assert main(["compile", "run", "--machine", "tiny"]) == 0
    assert main(["show", "run"]) == 0
    assert "MyNet" in capsys.readouterr().out

    network, program = Network.load(Path("run/graph")), Program.load(Path("run/program.bin"))
    test = safetensors.numpy.load_file("run/graph/test.safetensors")
    images, logits = test["images"][:2], test["logits"][:2]
    assert (layers.run(network, images)[network.output].reshape(2, -1) == logits).all()
    packed, size = pack_images(images, program), program.metadata["image"]["bytes"]
    golden = GoldenMachine(program)
    for index in range(2):
        last = golden.run(packed[index * size : (index + 1) * size])[-1]
        assert (last.reshape(-1)[:10] == logits[index]).all()


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """Dropout, too, draws in an epoch what it draws without a kill."""
    recipe = write_recipe(tmp_path, epochs=8)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    words = ["train", str(recipe), "--run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tritone", *words, str(killed)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (killed / "checkpoint-pretrain-0002.safetensors").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "train.json").exists()
    for run in (killed, whole):
        assert main([*words, str(run)]) == 0
    name = "checkpoint-finetune-0008.safetensors"
    assert (whole / name).read_bytes() == (killed / name).read_bytes()


def test_a_changed_file_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    """The user's own, where the run goes on; the run's copy, where it is exported."""
    recipe = write_recipe(tmp_path)
    assert main(["train", str(recipe), "--run", "run"]) == 0
    file = tmp_path / "nets" / "my_net.py"
    file.write_text(NETWORK.replace("0.2", "0.3"))
    assert refused("train", str(recipe), "--run", "run") == (
        "Run run must be continued with the model it was started with, run/my_net.py; "
        "remove the folder or choose another one"
    )
    (tmp_path / "run" / "my_net.py").write_text(NETWORK.replace("0.2", "0.3"))
    line = refused("export", "run")
    assert line.startswith("Model file run/my_net.py must have the SHA-256 ")
    assert line.endswith(": it was changed")


@pytest.mark.parametrize("command", ["train", "draw"])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class MyNet", "class YourNet", "Model MyNet must be in nets/my_net.py, which has"),
        (
            "self.dropout(x.flatten(1))",
            "self.dropout(x.flatten(1)).sigmoid()",
            "Operator sigmoid (nets/my_net.py, line 27) must be one of Conv2d, ",
        ),
        (
            "self.conv2(x)",
            "self.conv3(x)",
            "Model must be traceable by torch.fx, and fails: AttributeError: ",
        ),
        (
            "channels, widths.first",
            "2, widths.first",
            "Layer conv1 (nets/my_net.py, line 25) must take 1 channels, not 2",
        ),
    ],
)
def test_a_network_that_cannot_be_trained(
    tmp_path: Path, refused: Callable[..., str], command: str, old: str, new: str, message: str
) -> None:
    """It is refused before anything is trained, and the folder stays free for the right one."""
    write_recipe(tmp_path)
    assert NETWORK.count(old) == 1
    (tmp_path / "nets" / "my_net.py").write_text(NETWORK.replace(old, new))
    assert refused(command, "mine.toml", "--run", "run").startswith(message)
    assert not (tmp_path / "run").exists()


def test_a_missing_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    """Its place is told from the recipe's folder on."""
    recipe = write_recipe(tmp_path / "here")
    (tmp_path / "here" / "nets" / "my_net.py").unlink()
    for command in ("train", "draw"):
        assert refused(command, str(recipe.relative_to(tmp_path))) == (
            "Model MyNet must be in the file here/nets/my_net.py, which is not there"
        )
