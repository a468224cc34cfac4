# SPDX-License-Identifier: Apache-2.0
"""A network of the shape of ResNet-20 for CIFAR-10, random weights, on the 16x16x4 machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images
from tritone.golden import fast
from tritone.graph import Network, PoolKind
from tritone.spec.isa import LAYER
from tritone.spec.machine import MachineConfig, preset
from tritone.spec.program import Program
from tritone_sim.verification import Verification, verify

MACHINE = preset("ecp5_85")
# What a user is promised for this network.
MOST_CYCLES = 46_000


@pytest.fixture(scope="module")
def resnet20(step: Any, spec: Any, network_of_steps: Callable[..., Network]) -> Network:
    """Three stages of three blocks; 4-bit POST, 8-bit edges; shortcuts pad channels (option A)."""
    ring = (1, 1, 1, 1)
    steps = [step(spec=spec(out=16, pad=ring, codebook="int8", bits=8), reads=-1)]
    last, channels = 0, 16
    for out in (16, 16, 16, 32, 32, 32, 64, 64, 64):
        stride = out // channels
        steps += [
            step(spec=spec(out=out, stride=stride, pad=ring), reads=last),
            step(
                spec=spec(out=out, pad=ring),
                reads=len(steps),
                adds=last,
                stride=stride,
                offset=(out - channels) // 2,
            ),
        ]
        last, channels = len(steps) - 1, out
    steps += [
        step(spec=spec(kernel=(8, 8), kind=PoolKind.AVERAGE), reads=last),
        step(spec=spec(out=10, kernel=(1, 1), codebook="int8", bits=8, wide=True), reads=last + 1),
    ]
    return network_of_steps((3, 32, 32), steps, seed=0)


@pytest.fixture(scope="module")
def program(resnet20: Network) -> Program:
    return compile_network(resnet20, MACHINE)


def test_it_has_the_work_of_resnet20(resnet20: Network) -> None:
    """40.6 million multiply-accumulates; nine shortcuts, two of stride 2 with channels padded."""
    assert sum(resnet20.macs(node) for node in resnet20.nodes) == 40_551_040
    found = [getattr(node, "shortcut", None) for node in resnet20.nodes]
    added = [(each.stride, each.channel_offset) for each in found if each is not None]
    assert added == [(1, 0)] * 3 + [(2, 8)] + [(1, 0)] * 2 + [(2, 16)] + [(1, 0)] * 2


def test_shortcuts_lie_in_place_where_they_can(program: Program) -> None:
    """Every sum of equal shape replaces its shortcut; channels move from the first pad on."""
    words, entries = program.instruction_words(), program.metadata["tensors"]
    records = [LAYER.unpack(words[entry["instructions"][0]]) for entry in entries]
    adding = [each for each in records if each["shortcut_groups"]]
    in_place = [each["shortcut_base"] == each["out_base"] for each in adding]
    strides = [each["shortcut_stride"] for each in adding]
    assert strides == [0, 0, 0, 1, 0, 0, 1, 0, 0]
    assert [each for each, stride in zip(in_place, strides, strict=True) if not stride] == [
        True
    ] * 7
    moved = [entry["layer"] for entry in entries if entry["order"] is not None]
    assert moved == [f"layer{index}" for index in (8, 10, 12, 14, 16, 18, 19)]


def test_images_in_verilator(
    resnet20: Network,
    program: Program,
    machine_model: Callable[[MachineConfig], Any],
    tmp_path: Path,
) -> None:
    """Every value is equal, and a further image takes what is promised."""
    shape = (2, *resnet20.tensors[resnet20.input].shape)
    images = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    program.save(tmp_path / "program.bin")

    def run(count: int) -> Verification:
        packed = pack_images(images[:count], program)
        return verify(machine_model(MACHINE), program, packed, tmp_path)

    found, single = run(2), run(1)
    assert str(found.comparison.divergence) == "None"
    assert found.logit_mismatches == 0
    expected = fast.run(resnet20, images, logits_only=True)[resnet20.output]
    assert (found.logits == expected.reshape(2, -1)).all()
    assert found.free.cycles - single.free.cycles <= MOST_CYCLES
