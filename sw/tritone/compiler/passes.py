# SPDX-License-Identifier: Apache-2.0
"""The walks of a layer over its window: codebook passes by activation nibbles, and drains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tritone.compiler.fold import Integers, Layer, Weights
from tritone.spec.codebook import Pass, decode_term
from tritone.spec.fixed import EVEN_TERM, NIBBLE_BITS, ODD_TERM, FixedFormat
from tritone.spec.isa import MAX_PASS_STEPS, PASS_STEP, PoolMode
from tritone.spec.machine import ArrayKind, MachineConfig

__all__ = ["Schedule", "plan_passes"]

_RAILS: tuple[tuple[str, FixedFormat], ...] = (("even", EVEN_TERM), ("odd", ODD_TERM))


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


def _terms(weights: Weights, each: Pass, rail: str) -> tuple[Integers, Integers]:
    """Return factor (0: no term) and sign (1: negative) of each weight's term on ``rail``."""
    plan = weights.book.plan
    factors, negative = [], []
    for nibbles in plan.nibbles:
        term = decode_term(each.table[nibbles[each.plane]])
        added = term is not None and term.odd == (rail == "odd")
        factors.append(1 << term.shift if term is not None and added else 0)
        negative.append(int(term is not None and added and term.sign < 0))
    return weights.by_code(factors), weights.by_code(negative)


def _walk(weights: Weights, index: int, nibble: int, bits: int) -> _Walk:
    """Return the walk of pass ``index`` over one nibble of activations of ``bits`` bits."""
    each = weights.book.plan.passes[index]
    largest = min((1 << bits) - 1 >> (NIBBLE_BITS * nibble), (1 << NIBBLE_BITS) - 1)
    shift = each.shift + NIBBLE_BITS * nibble
    bounds = {}
    complement: Integers = np.zeros(len(weights.codes), np.int64)
    for rail, form in _RAILS:
        factors, negative = _terms(weights, each, rail)
        # A negative term is the complement form.high - factor * n, largest for n = 0.
        gain = np.where(negative == 1, form.high, factors * largest)
        bounds[rail] = gain.sum(axis=(1, 2, 3))
        excess = form.high * negative.sum(axis=(1, 2, 3))
        complement += (weights.units[rail] * excess) << shift
    step = {
        "plane": index,
        "nibble": nibble,
        "shift": shift // NIBBLE_BITS,
        "drain": 0,
    }
    return _Walk(step, bounds, complement)


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
    return Schedule(steps=({"plane": 0, "nibble": 0, "shift": 0, "drain": 1},), bias=layer.bias)


def plan_passes(layer: Layer, machine: MachineConfig) -> Schedule:
    """Return the pass steps of ``layer`` in ascending total shift.

    They drain wherever the shift changes or a sum might overflow.

    Raises
    ------
    ValueError : one walk alone might overflow the accumulators of ``machine``.
    """
    limits = {"even": (1 << machine.even_bits) - 1, "odd": (1 << machine.odd_bits) - 1}
    if layer.weights is None:
        return _plan_pool(layer, limits)
    book = layer.weights.book
    if machine.array is ArrayKind.POT and not book.plan.even:
        raise ValueError(
            f"Layer {layer.name} must have weights that are sums of powers of two, not those of "
            f"{book.name}: the array has no rail of sqrt 2; train it with another codebook, such "
            "as pot4, or choose a machine with array = post"
        )
    nibbles = -(-layer.bits // NIBBLE_BITS)
    walks = [
        _walk(layer.weights, index, nibble, layer.bits)
        for index in range(len(layer.weights.book.plan.passes))
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
