# SPDX-License-Identifier: Apache-2.0
"""Pictures show what the run holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tritone.cli.pictures import (
    code_use,
    draw_levels,
    draw_quantizers,
    draw_roofline,
    draw_training,
    level_counts,
)
from tritone.compiler import compile_network, describe
from tritone.graph import Convolution, Network, Tensor, Window
from tritone.qat.history import CodeUse, EpochRecord, Observation
from tritone.spec.machine import preset

PNG = b"\x89PNG\r\n\x1a\n"


def network(codes: list[int], codebook: str) -> Network:
    """Return a network of one 1x1 convolution with these weight codes, an input channel each."""
    count = len(codes)
    node = Convolution(
        name="only",
        input="image",
        output="sums",
        window=Window(kernel=(1, 1)),
        codebook=codebook,
        codes=np.array(codes, np.uint8).reshape(1, count, 1, 1),
        bits=8,
        pad_code=0,
        multiplier=np.ones(1, np.int64),
        offset=np.zeros(1, np.int64),
        shift=0,
        low=0,
        high=255,
    )
    image = Tensor(name="image", shape=(count, 1, 1), zero=0, step=1.0)
    sums = Tensor(name="sums", shape=(1, 1, 1), zero=0, step=1.0)
    tensors = {"image": image, "sums": sums}
    return Network(name="n", input="image", output="sums", tensors=tensors, nodes=(node,))


def test_level_counts() -> None:
    """Both codes of a ternary-like zero count for one level; levels that nobody uses count 0."""
    # post3: code 3 and 7 are zero, 0 is 1/2, 6 is -sqrt(2)/2.
    use = code_use(network([3, 7, 7, 0, 6], "post3"))
    assert use == {"only": CodeUse(codebook="post3", times=[1, 0, 0, 1, 0, 0, 1, 2])}
    assert level_counts(use["only"]) == (
        [-1.0, -181 / 256, -0.5, 0.0, 0.5, 181 / 256, 1.0],
        [0, 1, 0, 3, 1, 0, 0],
    )


def test_pictures_are_written(tmp_path: Path) -> None:
    """PNG files with something in them, for one and for several layers and stages."""
    draw_levels(code_use(network([0, 1, 2], "int4")), tmp_path / "levels.png")
    draw_training(
        [
            EpochRecord(stage="pretrain", epoch=1, loss=2.0, top1=20.0),
            EpochRecord(stage="pretrain", epoch=2, loss=1.0, top1=70.0),
            EpochRecord(stage="finetune", epoch=1, loss=0.5, top1=90.0),
        ],
        tmp_path / "training.png",
    )
    program = compile_network(network([0, 1, 2], "int4"), preset("tiny"))
    draw_roofline(describe(program), tmp_path / "roofline.png")
    for name in ("levels.png", "training.png", "roofline.png"):
        data = (tmp_path / name).read_bytes()
        assert data.startswith(PNG)
        assert len(data) > 5_000


def test_quantizers_are_drawn_where_there_are_some(tmp_path: Path) -> None:
    """Nothing for full precision; each kind of observation has axes of the same height."""
    plain = EpochRecord(stage="pretrain", epoch=1, loss=2.0, top1=20.0)
    assert not draw_quantizers([plain], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    few = {"observation": Observation(clipped={"a": 0.1, "b": 0.02})}
    betas = {"a": [0.5, 0.9, 1.0, 1.1, 2.0]}
    many = {
        "observation": Observation(clipped={"a": 0.05}, betas=betas),
        "deltas": {"a": 0.001, "b": 0.0},
        "blend": 0.5,
    }
    heights = []
    for name, values in (("few.png", few), ("many.png", many)):
        records = [
            EpochRecord(stage="finetune", epoch=n, loss=1.0, top1=50.0, **values) for n in (1, 2)
        ]
        assert draw_quantizers([plain, *records], tmp_path / name)
        data = (tmp_path / name).read_bytes()
        assert data.startswith(PNG)
        heights.append(int.from_bytes(data[20:24]))
    assert heights[1] == 4 * heights[0]
