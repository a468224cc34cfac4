# SPDX-License-Identifier: Apache-2.0
"""The walks of a layer over its window: codebook passes by activation nibbles, and drains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tritone.compiler.fold import Integers, Layer, Weights
from tritone.spec.fixed import EVEN_TERM, NIBBLE_BITS, ODD_TERM, POWER_TERM
from tritone.spec.isa import MAX_PASS_STEPS, PASS_STEP, PoolMode
from tritone.spec.machine import ArrayKind, MachineConfig
from tritone.spec.packing import Packing
from tritone.spec.pass_plan import MAX_PASSES, PassPlan

__all__ = ["Schedule", "plan_passes"]

_RAILS = ("even", "odd")
# What a negative term is inverted in, on each rail; weights in two's complement have none.
_INVERTED = {
    ArrayKind.POST: {"even": EVEN_TERM.high, "odd": ODD_TERM.high},
    ArrayKind.UNIFORM: {"even": 0, "odd": 0},
    ArrayKind.POT: {"even": POWER_TERM.high, "odd": 0},
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The pass steps of a layer.

    Parameters
    ----------
    steps : PASS_STEP fields in order.
    bias : B of each output channel: zero points and one's complements taken back.
    """

    steps: tuple[dict[str, int], ...]
    bias: Integers

    @property
    def drains(self) -> int:
        """Hand-overs to the requantiser for each tile."""
        return sum(step["drain"] for step in self.steps)

    def stored(self, packings: Sequence[Packing]) -> Schedule:
        """Return the same steps over planes that are packed so; a pool has none."""
        steps = tuple(
            {**step, "packing": packings[step["plane"]]} if packings else step
            for step in self.steps
        )
        return replace(self, steps=steps)

    @property
    def packed(self) -> int:
        """The field ``steps`` of the layer's instruction."""
        return sum(
            PASS_STEP.pack(step) << (PASS_STEP.bits * index)
            for index, step in enumerate(self.steps)
        )


@dataclass(frozen=True)
class _Walk:
    """One walk: its step, what a channel's raw accumulators gain at most, and the complement."""

    step: dict[str, int]
    bounds: dict[str, Integers]
    complement: Integers


def _step_excess(machine: MachineConfig) -> int:
    """Return what a step adds too much to the even accumulators, whatever its weights are.

    Of bit planes the highest place, -8, is inverted in the width of its sum.
    """
    if machine.array is not ArrayKind.UNIFORM:
        return 0
    return ((1 << machine.plane_bits) - 1) << (NIBBLE_BITS - 1)


def _walk(
    weights: Weights, plan: PassPlan, index: int, nibble: int, bits: int, excess: int
) -> _Walk:
    """Return the walk of pass ``index`` over one nibble of activations of ``bits`` bits.

    ``excess`` is what its steps add too much to the even accumulators.
    """
    largest = min((1 << bits) - 1 >> (NIBBLE_BITS * nibble), (1 << NIBBLE_BITS) - 1)
    shift = plan.passes[index].shift + NIBBLE_BITS * nibble
    levels = [plan.added(index, code) for code in range(len(plan.nibbles))]
    bounds = {}
    complement: Integers = np.zeros(len(weights.codes), np.int64)
    for rail in _RAILS:
        factors = weights.by_code([level.odd if rail == "odd" else level.even for level in levels])
        negative = factors < 0
        inverted = _INVERTED[plan.array][rail]
        constant = excess if rail == "even" else 0
        # A negative term is the complement inverted - factor * n, largest for n = 0.
        gain = np.where(negative, inverted, factors * largest)
        bounds[rail] = gain.sum(axis=(1, 2, 3)) + constant
        too_much = inverted * negative.sum(axis=(1, 2, 3)) + constant
        complement += (weights.units[rail] * too_much) << shift
    step = {
        "plane": index,
        "nibble": nibble,
        "shift": shift // NIBBLE_BITS,
        "drain": 0,
        "packing": Packing.NIBBLES,
    }
    return _Walk(step, bounds, complement)


def _require_plan(layer: Layer, weights: Weights, machine: MachineConfig) -> PassPlan:
    """Return the pass plan of the layer's codebook on the machine's array."""
    book, array = weights.book, machine.array
    if book.runs(array):
        return book.plan(array)
    if not book.integer and not array.odd_rail:
        other = {ArrayKind.UNIFORM: "int4", ArrayKind.POT: "pot4"}[array]
        raise ValueError(
            f"Layer {layer.name} must have weights without sqrt 2, not those of {book.name}: the "
            f"array {array} has no rail of it; train it with another codebook, such as {other}, or "
            "choose a machine with array = post"
        )
    raise ValueError(
        f"Layer {layer.name} must have weights that take at most {MAX_PASSES} passes, "
        f"not those of {book.name} on an array {array}; train it with another codebook "
        "(docs/reference.md lists their passes)"
    )


def _require_accumulators(
    layer: Layer, bounds: dict[str, Integers], limits: dict[str, int]
) -> None:
    for rail, limit in limits.items():
        most = int(bounds[rail].max())
        if most > limit:
            raise ValueError(
                f"Layer {layer.name} must fit one walk in the {rail} accumulators, {limit}, "
                f"not {most}"
            )


def _plan_pool(layer: Layer, limits: dict[str, int]) -> Schedule:
    size = layer.window.kernel[0] * layer.window.kernel[1] if layer.pool_mode is PoolMode.SUM else 1
    most = np.array([size * ((1 << layer.bits) - 1)], np.int64)
    _require_accumulators(layer, {"even": most, "odd": np.zeros(1, np.int64)}, limits)
    step = {"plane": 0, "nibble": 0, "shift": 0, "drain": 1, "packing": Packing.NIBBLES}
    return Schedule(steps=(step,), bias=layer.bias)


def plan_passes(layer: Layer, machine: MachineConfig, walk_steps: int) -> Schedule:
    """Return the pass steps of ``layer`` in ascending total shift, over planes of nibbles.

    They drain wherever the shift changes or a sum might overflow.

    Parameters
    ----------
    walk_steps : steps of a walk.

    Raises
    ------
    ValueError : the array has no passes for the weights, or one walk alone might overflow the
        accumulators of ``machine``.
    """
    limits = {"even": (1 << machine.even_bits) - 1, "odd": (1 << machine.odd_bits) - 1}
    if layer.weights is None:
        return _plan_pool(layer, limits)
    plan = _require_plan(layer, layer.weights, machine)
    excess = walk_steps * _step_excess(machine)
    nibbles = -(-layer.bits // NIBBLE_BITS)
    walks = [
        _walk(layer.weights, plan, index, nibble, layer.bits, excess)
        for index in range(len(plan.passes))
        for nibble in range(nibbles)
    ]
    # At most 4 passes of 2 nibbles.
    assert len(walks) <= MAX_PASS_STEPS
    walks.sort(key=lambda walk: walk.step["shift"])
    held: dict[str, Integers] = {}
    for position, walk in enumerate(walks):
        _require_accumulators(layer, walk.bounds, limits)
        held = {rail: held[rail] + gain if held else gain for rail, gain in walk.bounds.items()}
        following = walks[position + 1] if position + 1 < len(walks) else None
        if (
            following is None
            or following.step["shift"] != walk.step["shift"]
            or any(
                bool((held[rail] + following.bounds[rail] > limit).any())
                for rail, limit in limits.items()
            )
        ):
            walk.step["drain"] = 1
            held = {}
    complement = np.sum([walk.complement for walk in walks], axis=0)
    return Schedule(steps=tuple(walk.step for walk in walks), bias=layer.bias - complement)
