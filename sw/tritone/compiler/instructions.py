# SPDX-License-Identifier: Apache-2.0
"""The fields of a program's instructions, without what they wait for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from tritone.compiler.constants import Slice
from tritone.compiler.feed import NO_WINDOWS
from tritone.compiler.gather import Windows
from tritone.compiler.outside import Outside
from tritone.compiler.parameters import shortcut_places
from tritone.compiler.place import Place
from tritone.compiler.stripes import Stripe
from tritone.compiler.tile import TiledLayer
from tritone.spec.isa import WINDOW_KERNEL, MemoryId
from tritone.spec.machine import BEAT_BYTES, MachineConfig

__all__ = [
    "Fields",
    "LayerConstants",
    "View",
    "layer_fields",
    "load_pixels",
    "load_windows",
    "store_rows",
]

Fields = Mapping[str, int]


@dataclass(frozen=True)
class View:
    """Rows of a tensor in feature memory, from some row and channel word on.

    Parameters
    ----------
    group, base : of its first pixel.
    row_words : words from a row to the next.
    plane_words : words from a channel word to the next.
    rows : of each channel word, at least as many as are used.
    """

    group: int
    base: int
    row_words: int
    plane_words: int
    rows: int

    @classmethod
    def of(cls, place: Place) -> View:
        """Return the tensor in ``place``."""
        region = place.region
        return cls(place.group, place.base, region.row_words, region.plane_words, region.height)

    @classmethod
    def of_buffer(cls, place: Place, rows: int) -> View:
        """Return ``rows`` rows of each channel word, one behind the other in a buffer."""
        row_words = place.region.row_words
        return cls(place.group, place.base, row_words, rows * row_words, rows)

    def behind(self, words: int, rows: int = 0) -> View:
        """Return the tensor without its first channel words, and the first rows of the others."""
        base = self.base + words * self.plane_words + rows * self.row_words
        return replace(self, base=base, rows=self.rows - rows)


def _shortcut_fields(tiled: TiledLayer, part: Slice, view: View | None) -> Fields:
    """Return the fields of a slice that say what it adds."""
    added, octaves = tiled.layer.shortcut, tiled.layer.octaves
    groups = min(max(tiled.shortcut_groups - part.first, 0), part.groups)
    fields = {"shortcut_groups": groups}
    if added is None or view is None or not groups:
        names = "base row_words plane_words stride zero multiplier shift"
        return fields | {f"shortcut_{name}": 0 for name in names.split()}
    return fields | {
        "shortcut_base": view.base,
        "shortcut_row_words": view.row_words,
        "shortcut_plane_words": view.plane_words,
        "shortcut_stride": added.stride - 1,
        "shortcut_zero": added.tensor.zero,
        "shortcut_multiplier": added.multiplier if octaves is None else 0,
        "shortcut_shift": added.shift if octaves is None else shortcut_places(tiled)[0],
    }


def _beta_fields(tiled: TiledLayer, registers: Mapping[str, int]) -> Fields:
    """Return the fields of a layer that say what it has to do with an adaptive step."""
    layer = tiled.layer
    beta = layer.gain.tensor if layer.gain else layer.output.name
    return {"adaptation": layer.adaptation, "beta_register": registers.get(beta, 0)}


@dataclass(frozen=True, kw_only=True)
class LayerConstants:
    """Where the constants of an instruction's output groups lie.

    Parameters
    ----------
    weights : first word of each pass; planes at equal distances. None for a pool.
    parameters : first word.
    terms : word of what packed weights stand for; 0 without these.
    """

    weights: tuple[int, ...]
    parameters: int
    terms: int

    @property
    def weight_base(self) -> int:
        """First word of the first plane."""
        return self.weights[0] if self.weights else 0

    @property
    def plane_words(self) -> int:
        """Words from a plane to the next; 0 where there is none."""
        distances = {after - before for before, after in pairwise(self.weights)} or {0}
        assert len(distances) == 1
        return distances.pop()


def layer_fields(
    tiled: TiledLayer,
    part: Slice,
    stripe: Stripe,
    views: tuple[View, View, View | None],
    constants: LayerConstants,
    registers: Mapping[str, int],
    machine: MachineConfig,
) -> Fields:
    """Return the fields of the instruction that computes a stripe of the output groups of ``part``.

    Parameters
    ----------
    views : what it reads, what it makes, and what it adds, if anything.
    constants : where they lie.
    registers : of the betas by the name of their tensor.
    """
    layer, steps = tiled.layer, tiled.schedule
    source, result, added = views
    return {
        "in_group": source.group,
        "out_group": result.group,
        "in_base": source.base,
        "in_width": layer.input.shape[2],
        "in_height": source.rows,
        "in_row_words": source.row_words,
        "in_plane_words": source.plane_words,
        "in_channels": tiled.reach.words,
        "in_turn": tiled.reach.turn,
        "out_base": result.base,
        "out_width": layer.output.shape[2],
        "out_height": stripe.rows,
        "out_row_words": result.row_words,
        "out_plane_words": result.plane_words,
        "out_channels": part.groups,
        "stored_rows": -(-part.groups // machine.word_columns) * stripe.rows,
        "kernel_height": layer.window.kernel[0],
        "kernel_width": layer.window.kernel[1],
        "stride": layer.window.stride,
        "pad_top": stripe.pad_top,
        "pad_left": layer.window.pad[1],
        "read_shift": layer.read_shift,
        "read_zero": layer.input.zero,
        "read_offset": layer.read_zero,
        "read_max": (1 << layer.bits) - 1,
        "pad_code": layer.pad_code,
        "weight_base": constants.weight_base,
        "plane_words": constants.plane_words,
        "group_words": tiled.storage.group_words,
        "pass_steps": len(steps.steps),
        "steps": steps.packed,
        "parameter_base": constants.parameters,
        "terms": constants.terms,
        "shift": layer.shift if layer.octaves is None else shortcut_places(tiled)[1],
        "low": layer.low,
        "high": layer.high,
        "wide": layer.output.wide,
        "pool_mode": layer.pool_mode,
        **_shortcut_fields(tiled, part, added),
        **_beta_fields(tiled, registers),
    }


def load_pixels(tensor: Outside, word: int, rows: range, into: View) -> Fields:
    """Return the fields of a LOAD of rows of a channel word, from a whole beat on."""
    size = len(rows) * tensor.width << tensor.pixel_bits
    return {
        "source": tensor.base,
        "offset": tensor.at(word, rows.start),
        "memory": MemoryId.FEATURE_1 if into.group else MemoryId.FEATURE_0,
        "address": into.base,
        "words": 0,
        "beats": -(-size // BEAT_BYTES),
        "width": tensor.width,
        "rows": len(rows),
        "row_words": into.row_words,
        "pixel_bytes": tensor.pixel_bits,
        "table": 0,
        **NO_WINDOWS,
    }


def load_windows(
    tensor: Outside, rows: range, padding: tuple[int, int], windows: Windows, into: View
) -> Fields:
    """Return the fields of a LOAD of the windows of rows of the image.

    Parameters
    ----------
    padding : rows of padding above them, and all rows with padding.
    """
    top, down = padding
    return {
        **load_pixels(tensor, 0, rows, into),
        "kernel": WINDOW_KERNEL,
        "channels": windows.image.shape[0],
        "stride": windows.stride,
        "pad_top": top,
        "pad_left": windows.pad_left,
        "pad_code": windows.pad_code,
        "across": windows.across,
        "down": down,
        "plane_words": into.plane_words,
    }


def store_rows(view: View, rows: int, tensor: Outside, word: int, row: int) -> Fields:
    """Return the fields of a STORE of ``rows`` rows, of channel words one behind the other.

    They become those of ``tensor`` from a row of a channel word on.
    """
    return {
        "target": tensor.base,
        "offset": tensor.at(word, row),
        "group": view.group,
        "base": view.base,
        "width": tensor.width,
        "rows": rows,
        "row_words": view.row_words,
    }
