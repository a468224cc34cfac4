# SPDX-License-Identifier: Apache-2.0
"""What a program costs, read from its instructions."""

from __future__ import annotations

from dataclasses import dataclass

from tritone.spec.isa import LAYER, PASS_STEP, Opcode
from tritone.spec.program import Program

__all__ = ["LayerCost", "describe"]


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """The work of one layer for one image.

    Parameters
    ----------
    layer : name of the node.
    kind : CONVOLVE or POOL.
    shape : C, H, W of its output.
    macs : useful multiply-accumulates.
    steps : array steps.
    drains : hand-overs to the requantiser.
    """

    layer: str
    kind: Opcode
    shape: tuple[int, int, int]
    macs: int
    steps: int
    drains: int


def describe(program: Program) -> list[LayerCost]:
    """Return the cost of each layer of ``program`` in the order of execution."""
    words = program.instruction_words()
    costs = []
    for entry in program.metadata["tensors"]:
        fields = LAYER.unpack(words[entry["instruction"]])
        tiles = (
            fields["out_channels"]
            * fields["out_height"]
            * -(-fields["out_width"] // program.machine.pixels)
        )
        walk = fields["kernel_height"] * fields["kernel_width"] * fields["in_channels"]
        mask = (1 << PASS_STEP.bits) - 1
        drains = sum(
            PASS_STEP.unpack(fields["steps"] >> (PASS_STEP.bits * index) & mask)["drain"]
            for index in range(fields["pass_steps"])
        )
        costs.append(
            LayerCost(
                layer=entry["layer"],
                kind=Opcode(fields["opcode"]),
                shape=tuple(entry["shape"]),
                macs=entry["macs"],
                steps=tiles * fields["pass_steps"] * walk,
                drains=tiles * drains,
            )
        )
    return costs
