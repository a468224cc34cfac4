# SPDX-License-Identifier: Apache-2.0
"""A layer cut to the shape of a machine: regions, output groups, weight memory words."""

from __future__ import annotations

from dataclasses import dataclass

from tritone.compiler.fold import Layer
from tritone.compiler.passes import Schedule, plan_passes
from tritone.compiler.weight_storage import WeightStorage, store_weights
from tritone.graph import Tensor
from tritone.spec.isa import Adaptation
from tritone.spec.machine import MachineConfig

__all__ = ["Reach", "Region", "TiledLayer", "tile"]


@dataclass(frozen=True)
class Region:
    """A tensor in feature memory.

    Parameters
    ----------
    channels : channel words.
    height : rows of a channel word.
    width : stored pixels in a row, twice the tensor's if wide.
    row_words : words of a row in each bank.
    """

    channels: int
    height: int
    width: int
    row_words: int

    @classmethod
    def of(cls, tensor: Tensor, machine: MachineConfig) -> Region:
        """Return the region that ``tensor`` takes in ``machine``."""
        channels, height, width = tensor.shape
        width *= 1 + tensor.wide
        return cls(-(-channels // machine.rows), height, width, -(-width // machine.banks))

    @property
    def rows(self) -> int:
        """Rows of all channel words."""
        return self.channels * self.height

    @property
    def plane_words(self) -> int:
        """Words of a channel word's rows in each bank."""
        return self.height * self.row_words

    @property
    def words(self) -> int:
        """Words in each bank."""
        return self.rows * self.row_words


@dataclass(frozen=True)
class Reach:
    """Which input channel words the output groups of a layer walk over.

    Parameters
    ----------
    words : of a walk.
    turn : output groups that walk over the same ones; the next ones walk over those behind them.
    """

    words: int
    turn: int

    def first(self, group: int) -> int:
        """Return the first channel word that an output group walks over."""
        return group // self.turn * self.words


@dataclass(frozen=True, kw_only=True)
class TiledLayer:
    """A layer with everything that does not depend on addresses.

    Parameters
    ----------
    layer : what it computes.
    schedule : its pass steps and B.
    input, output : regions.
    shortcut : region of what is added, if anything.
    groups : output groups of C channels.
    reach : the input channel words that they walk over.
    shortcut_groups : those that add the shortcut.
    tiles : tiles of P pixels in all rows of an output group.
    walk : steps of one walk: window size times the input channel words that it goes over.
    storage : its weights as weight memory holds them.
    """

    layer: Layer
    schedule: Schedule
    input: Region
    output: Region
    shortcut: Region | None
    groups: int
    reach: Reach
    shortcut_groups: int
    tiles: int
    walk: int
    storage: WeightStorage


def _reach(layer: Layer, groups: int, machine: MachineConfig) -> Reach:
    """Return the shortest walks that meet all the inputs of each output group.

    Where the groups of channels do not divide that way every walk goes over all channel words, and
    meets weights that are zero.
    """
    if layer.weights is None:
        return Reach(1, machine.word_columns)
    words = -(-layer.input.shape[0] // machine.rows)
    inputs, outputs = layer.weights.codes.shape[1], len(layer.weights.codes)
    made = outputs // layer.weights.groups
    firsts = range(0, outputs, machine.columns)
    lasts = [min(first + machine.columns, outputs) - 1 for first in firsts]
    # The channel words that each output group meets.
    met = [
        (
            first // made * inputs // machine.rows,
            ((last // made + 1) * inputs - 1) // machine.rows,
        )
        for first, last in zip(firsts, lasts, strict=True)
    ]
    for length in range(1, words):
        for turn in range(1, groups):
            reach = Reach(length, turn)
            if reach.first(groups - 1) + length <= words and all(
                reach.first(group) <= low and high < reach.first(group) + length
                for group, (low, high) in enumerate(met)
            ):
                return reach
    return Reach(words, groups)


def _shortcut_groups(layer: Layer, machine: MachineConfig) -> int:
    """Return the output groups that add the shortcut.

    The last one may have channels that only one of the two tensors has; where these are the
    output's the shortcut's lanes there would have to hold its zero, which nothing promises.
    """
    if layer.shortcut is None:
        return 0
    channels, all_channels = layer.shortcut.tensor.shape[0], layer.output.shape[0]
    if channels < all_channels and channels % machine.columns:
        raise ValueError(
            f"Layer {layer.name} must add {layer.shortcut.tensor.name} to all of its "
            f"{all_channels} channels or to a multiple of {machine.columns}, not to {channels}"
        )
    return -(-channels // machine.columns)


def tile(layer: Layer, machine: MachineConfig) -> TiledLayer:
    """Return ``layer`` cut to the shape of ``machine``.

    Raises
    ------
    ValueError : its sums, its shortcut or its adaptive step are not what the machine can do.
    """
    if layer.adaptation is not Adaptation.NONE and not machine.adaptive:
        step = layer.gain.tensor if layer.gain else layer.output.name
        raise ValueError(
            f"Layer {layer.name} must have a fixed step on {machine.name}, not the adaptive one of "
            f"{step}: choose a machine with adaptive = true, or export with --static-steps"
        )
    source, result = Region.of(layer.input, machine), Region.of(layer.output, machine)
    groups = -(-layer.output.shape[0] // machine.columns)
    _, height, width = layer.output.shape
    kernel = layer.window.kernel[0] * layer.window.kernel[1]
    reach = _reach(layer, groups, machine)
    walk = kernel * reach.words
    schedule = plan_passes(layer, machine, walk)
    storage = store_weights(layer, groups, (reach.words, reach.turn), machine)
    return TiledLayer(
        layer=layer,
        schedule=schedule.stored(storage.packings),
        input=source,
        output=result,
        shortcut=Region.of(layer.shortcut.tensor, machine) if layer.shortcut else None,
        groups=groups,
        reach=reach,
        shortcut_groups=_shortcut_groups(layer, machine),
        tiles=height * -(-width // machine.pixels),
        walk=walk,
        storage=storage,
    )
