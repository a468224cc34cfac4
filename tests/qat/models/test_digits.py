# SPDX-License-Identifier: Apache-2.0
"""The digits network."""

from __future__ import annotations

import torch

from tritone.qat.models.digits import Digits


def test_logits_of_each_class() -> None:
    """One logit a class, for any number of channels and classes."""
    assert Digits(3, 7).eval()(torch.zeros(5, 3, 8, 8)).shape == (5, 7)
