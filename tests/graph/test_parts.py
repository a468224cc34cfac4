# SPDX-License-Identifier: Apache-2.0
"""Tensors with parts: saved and loaded, there when their parts are, refused where wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritone.graph import Network, Pool, PoolKind, Tensor, Window


def joined(**change: Any) -> Network:
    """Return two pools of one image, a tensor of both, and a pool of it."""
    own = {"name": "both", "shape": (6, 4, 4), "zero": 16, "step": 0.1}
    whole = Tensor(**(own | {"parts": ("features", "others")} | change))
    shapes = {"image": (3, 8, 8), "features": (3, 4, 4), "others": (3, 4, 4), "pooled": (6, 2, 2)}
    tensors = {
        name: Tensor(name=name, shape=shape, zero=16, step=0.1) for name, shape in shapes.items()
    }
    nodes = [
        Pool(
            name=name,
            input=source,
            output=output,
            kind=PoolKind.MAX,
            window=Window(kernel=(2, 2), stride=2),
        )
        for name, source, output in (
            ("first", "image", "features"),
            ("second", "image", "others"),
            ("pool", whole.name, "pooled"),
        )
    ]
    return Network(
        name="joined",
        input="image",
        output="pooled",
        tensors=tensors | {whole.name: whole},
        nodes=tuple(nodes),
    )


def test_parts_survive_a_file(tmp_path: Path) -> None:
    joined().save(tmp_path)
    assert Network.load(tmp_path).tensors == joined().tensors


def test_joined_tensors_are_there_when_their_parts_are() -> None:
    """Parts of parts first."""
    made = joined()
    more = Tensor(name="more", shape=(9, 4, 4), zero=16, step=0.1, parts=("both", "third"))
    third = Tensor(name="third", shape=(3, 4, 4), zero=16, step=0.1)
    every = replace(made, tensors={"more": more, "third": third} | made.tensors)
    assert every.joined({"features"}) == []
    names = [tensor.name for tensor in every.joined({"features", "others", "third"})]
    assert names == ["both", "more"]
    assert every.joined({"features", "others", "third", "both"}) == [more]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"shape": (5, 4, 4)},
            (
                r"^Tensor both must have the channels of features, others and their pixels, "
                r"\(6, 4, 4\), not \(5, 4, 4\)$"
            ),
        ),
        (
            {"zero": 0},
            (
                r"^Tensor both must have codes with the width, zero and step of its parts features,"
                r" others; give them one quantiser$"
            ),
        ),
        (
            {"step": 0.2},
            (
                r"^Tensor both must have codes with the width, zero and step of its parts features,"
                r" others; give them one quantiser$"
            ),
        ),
        (
            {"stream_bits": 12},
            (
                r"^Tensor both must have codes with the width, zero and step of its parts features,"
                r" others; give them one quantiser$"
            ),
        ),
        (
            {"parts": ("features", "features")},
            r"^Tensor both must have different parts, not features, features$",
        ),
        (
            {"parts": ("features", "pooled")},
            r"^Layer pool must read a tensor made before it, not both$",
        ),
        (
            {"name": "others"},
            r"^Tensor others must have different parts, not features, others$",
        ),
    ],
)
def test_parts_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        joined(**change)
