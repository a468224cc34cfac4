# SPDX-License-Identifier: Apache-2.0
"""Names of networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from tritone.qat.models.catalog import build_model
from tritone.qat.models.digits import Digits
from tritone.qat.models.source import read_source


def test_builds_by_name() -> None:
    """The name gives the class, the arguments its sizes."""
    model = build_model("digits", 2, 4)
    assert isinstance(model, Digits)
    assert (model.conv1.in_channels, model.linear.out_features) == (2, 4)


def test_a_source_is_built_instead(tmp_path: Path) -> None:
    """Whatever the name is."""
    (tmp_path / "a.py").write_text("from torch import nn\nMine = nn.Linear\n")
    model = build_model("a.py:Mine", 2, 4, read_source("a.py:Mine", tmp_path))
    assert isinstance(model, nn.Linear)
    assert (model.in_features, model.out_features) == (2, 4)


def test_refuses_an_unknown_name() -> None:
    """The known names are listed."""
    with pytest.raises(
        ValueError,
        match=r"^Model must be one of digits, .*, resnet50, or FILE\.py:NAME, not 'resnet'$",
    ):
        build_model("resnet", 1, 10)
