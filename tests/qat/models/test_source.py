# SPDX-License-Identifier: Apache-2.0
"""Networks of a user's own files."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path

import pytest
import torch
from own_network import NETWORK
from torch import nn

from tritone.qat.models.source import ModelSource, read_source


def source(folder: Path, text: str, name: str = "MyNet") -> ModelSource:
    """Return that text as a source that was read from a file."""
    (folder / "my_net.py").write_text(text)
    found = read_source(f"my_net.py:{name}", folder)
    assert found is not None
    return found


def test_a_file_and_a_name_make_a_network(tmp_path: Path) -> None:
    """The class gets channels and classes; the file is executed once, and found by its content."""
    own = source(tmp_path, f"{NETWORK}\nprint('executed')\n")
    assert own.model == "my_net.py:MyNet"
    assert own.sha256 == hashlib.sha256((tmp_path / "my_net.py").read_bytes()).hexdigest()
    (tmp_path / "my_net.py").unlink()  # what was read counts
    model = own.build(3, 7)
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 7)
    again = pickle.loads(pickle.dumps(own)).build(3, 7)
    assert type(again) is type(model)
    assert not (tmp_path / "__pycache__").exists()


def test_a_function_makes_one_too(tmp_path: Path) -> None:
    """Whatever can be called."""
    text = (
        "from torch import nn\ndef make(channels, classes):\n  return nn.Linear(channels, classes)"
    )
    model = source(tmp_path, text, "make").build(3, 7)
    assert isinstance(model, nn.Linear)
    assert (model.in_features, model.out_features) == (3, 7)


def test_random_numbers_of_the_file_are_the_same_every_time(tmp_path: Path) -> None:
    """A run that goes on executes the file again; the numbers behind it do not depend on that."""
    text = (
        "import torch\nfrom torch import nn\nSTART = torch.randn(1)\n"
        "def make(channels, classes):\n  model = nn.Linear(1, 1)\n"
        "  model.bias.data = START\n  return model"
    )
    values = []
    # Executed, not executed again, and executed as another file.
    for changed, seed in ((text, 5), (text, 5), (f"{text}\n# again", 6)):
        torch.manual_seed(seed)
        made = source(tmp_path, changed, "make").build(1, 1)
        assert isinstance(made, nn.Linear)
        values.append((made.weight.item(), made.bias.item(), torch.rand(1).item()))
    assert values[0] == values[1]
    assert values[2][1] == values[0][1]  # of the file
    assert values[2][0] != values[0][0]  # of the network


def test_other_models_have_no_source(tmp_path: Path) -> None:
    """Names are left to the catalogue."""
    for name in ("digits", "my:net", "a.b"):
        assert read_source(name, tmp_path) is None


@pytest.mark.parametrize("model", ["my_net.py", "my_net.py:", "my_net.py:a b"])
def test_a_file_must_have_a_name(tmp_path: Path, model: str) -> None:
    message = f"^Model must be FILE.py:NAME, of a class or a function, not '{model}'$"
    with pytest.raises(ValueError, match=message):
        read_source(model, tmp_path)


def test_a_file_must_be_there_and_the_right_one(tmp_path: Path) -> None:
    """Its place is told, and both SHA-256."""
    path = tmp_path / "my_net.py"
    message = f"^Model MyNet must be in the file {path}, which is not there$"
    with pytest.raises(FileNotFoundError, match=message):
        read_source("my_net.py:MyNet", tmp_path)
    path.write_bytes(b"")
    found = hashlib.sha256(b"").hexdigest()
    message = f"^Model file {path} must have the SHA-256 {'0' * 64}, not {found}: it was changed$"
    with pytest.raises(ValueError, match=message):
        read_source("my_net.py:MyNet", tmp_path, "0" * 64)
    assert read_source("my_net.py:MyNet", tmp_path, found) is not None


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("def (", ValueError, "{file} must be Python .*, and fails: line 1: SyntaxError: .*"),
        ("\0", ValueError, "{file} must be Python .*, and fails: .*null bytes.*"),
        (
            "x = 1\ny = 1 / 0",
            ValueError,
            "{file} must be Python .*, and fails: line 2: ZeroDivisionError: division by zero",
        ),
        (
            "import nowhere_to_be_found",
            ValueError,
            "{file} .* line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        ),
        (
            "from torch import nn\nclass Other(nn.Module): pass\ndef make(): pass",
            ValueError,
            "MyNet must be in {path}, which has Other, make",
        ),
        ("x = 1", ValueError, "MyNet must be in {path}, which has none"),
        ("MyNet = 3", TypeError, "MyNet of {path} must be a class or a function, not int"),
        (
            "def MyNet():\n  pass",
            ValueError,
            r"MyNet of {path} must take channels and classes, \(1, 10\), and fails: TypeError: .*",
        ),
        (
            "def MyNet(channels, classes):\n  return {}[classes]",
            ValueError,
            r"MyNet of {path} .* \(1, 10\), and fails: line 2: KeyError: 10",
        ),
        (
            "def MyNet(channels, classes):\n  return 'net'",
            TypeError,
            r"MyNet of {path} must return a torch\.nn\.Module, not str",
        ),
    ],
)
def test_what_makes_no_network_is_refused(
    tmp_path: Path, text: str, kind: type[Exception], message: str
) -> None:
    """Every time: a file that fails is not kept as a module."""
    own, path = source(tmp_path, text), re.escape(str(tmp_path / "my_net.py"))
    expected = message.replace("{file}", f"file {path}").replace("{path}", path)
    for _ in range(2):
        with pytest.raises(kind, match=f"^Model {expected}$"):
            own.build(1, 10)
