# SPDX-License-Identifier: Apache-2.0
"""Precision."""

from __future__ import annotations

import pytest

from tritone.qat.precision import Precision


def test_width_and_method_follow_from_the_codebook() -> None:
    """The width is the codebook's, the method its name without the width."""
    post = Precision(weights="post4", act_bits=4)
    assert (post.weight_bits, post.method) == (4, "post")
    ternary = Precision(weights="ternary", act_bits=4)
    assert (ternary.weight_bits, ternary.method) == (2, "ternary")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"weights": "post4", "act_bits": 0}, r"^Precision act_bits must be in 1\.\.8, not 0$"),
        (
            {"weights": "post4", "act_bits": 4, "edge_act_bits": 9},
            r"^Precision edge_act_bits must be in 1\.\.8, not 9$",
        ),
        ({"weights": "post9", "act_bits": 4}, r"^Codebook must be one of .*, not 'post9'$"),
        (
            {"weights": "post4", "act_bits": 4, "edge_weights": "float"},
            r"^Codebook must be one of .*, not 'float'$",
        ),
    ],
)
def test_refuses(keys: dict, message: str) -> None:
    """What no machine has is refused by name."""
    with pytest.raises(ValueError, match=message):
        Precision(**keys)
