# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.convolution: one convolution, map after map, beside its transfers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, predict
from tritone.golden import layers
from tritone.spec.machine import preset
from tritone_sim.convolution import (
    LEAD,
    convolution_network,
    measure_convolution,
    random_maps,
)

SMALL = preset("tiny-p4")
BIG = preset("ecp5_85")
MACS = 16 * 16 * 3 * 3 * 32 * 32


def test_it_is_the_convolution_of_the_comparison() -> None:
    """16 to 16 channels, 3x3, 32x32; its outputs use most codes, and few are clamped."""
    network = convolution_network()
    assert network.macs(network.nodes[0]) == MACS
    (node,) = network.nodes
    assert (node.codebook, node.bits, node.codes.shape) == ("post4", 4, (16, 16, 3, 3))
    output = layers.run(network, random_maps(network, 1))[network.output]
    assert len(np.unique(output)) > 200
    assert np.isin(output, (0, 255)).mean() < 0.25


def test_the_large_machine_is_used_to_95_percent() -> None:
    """The promised figure, from the cycle model, which other tests find equal to the Verilog."""
    program = compile_network(convolution_network(), BIG)
    cycles = [predict(program, count).cycles for count in (LEAD, LEAD + 16)]
    assert 0.95 * BIG.macs_per_cycle * (cycles[1] - cycles[0]) <= 16 * MACS


def test_the_row_is_what_the_verilog_took(
    machine_model: Callable[..., Any], tmp_path: Path
) -> None:
    """On a small machine; steady is what a map adds, and 32 output rows of 8 tiles are 72 steps."""
    seen: list[int] = []
    row = measure_convolution(machine_model(SMALL), SMALL, 2, tmp_path, seen.append)
    assert row["mismatches"] == 0
    assert row["values"] == (1 + LEAD + LEAD + 2) * 16 * 32 * 32
    assert (row["images"], row["tensors"], row["network"]) == (2, 1, "conv3x3_16x32x32")
    assert (row["codebook"], row["weight_bits"], row["act_bits"]) == ("post4", 4, 4)
    # Two channel words in, two out: 9 * 2 * 2 steps for each of 8 tiles of 32 rows.
    assert row["mac_cycles_per_image"] == 36 * 8 * 32
    assert row["cycles_per_image"] == row["predicted_cycles_per_image"] > 36 * 8 * 32
    assert row["single_shot_cycles"] == row["predicted_single_shot_cycles"]
    assert row["single_shot_cycles"] > row["cycles_per_image"]
    assert row["utilisation"] == MACS / (SMALL.macs_per_cycle * row["cycles_per_image"])
    assert row["single_shot_utilisation"] == MACS / (
        SMALL.macs_per_cycle * row["single_shot_cycles"]
    )
    assert row["fingerprint"] == f"{SMALL.fingerprint:016x}"


def test_a_value_that_differs_is_counted(
    machine_model: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The golden layers are said to give one value otherwise."""
    from tritone_sim import convolution

    right = convolution.fast.run

    def wrong(*arguments: Any) -> Any:
        found = right(*arguments)
        found["output"][2, 5, 31, 0] += 1
        return found

    monkeypatch.setattr(convolution.fast, "run", wrong)
    row = measure_convolution(machine_model(SMALL), SMALL, 1, tmp_path)
    assert row["mismatches"] == 1


def test_no_maps_are_refused(machine_model: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Maps must be at least 1, not 0$"):
        measure_convolution(machine_model(SMALL), SMALL, 0, tmp_path)
