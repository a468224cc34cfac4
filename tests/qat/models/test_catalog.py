# SPDX-License-Identifier: Apache-2.0
"""Names of networks."""

from __future__ import annotations

import pytest

from tritone.qat.models.catalog import build_model
from tritone.qat.models.digits import Digits


def test_builds_by_name() -> None:
    """The name gives the class, the arguments its sizes."""
    model = build_model("digits", 2, 4)
    assert isinstance(model, Digits)
    assert (model.conv1.in_channels, model.linear.out_features) == (2, 4)


def test_refuses_an_unknown_name() -> None:
    """The known names are listed."""
    with pytest.raises(
        ValueError,
        match=r"^Model must be one of digits, .*, resnet50, or FILE\.py:NAME, not 'resnet'$",
    ):
        build_model("resnet", 1, 10)
