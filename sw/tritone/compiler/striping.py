# SPDX-License-Identifier: Apache-2.0
"""How high the stripes of a layer can be, and the buffers that each choice takes.

A tensor outside passes through buffers that a layer has for as long as it runs. With two of each,
transfers pass beside the stripes before and behind them; with one, layer and transfers take turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from tritone.compiler.constants import Slice
from tritone.compiler.gather import Windows
from tritone.compiler.outside import Outside
from tritone.compiler.place import Place
from tritone.compiler.stripes import (
    Stripe,
    added_words,
    cut,
    pixel_rows,
    read_words,
    stored_words,
    unit_words,
)
from tritone.compiler.tile import Region, TiledLayer
from tritone.graph import Tensor
from tritone.spec.isa import Adaptation
from tritone.spec.machine import BEAT_BYTES, MachineConfig

__all__ = ["Option", "Role", "Striping", "find_options", "tensors"]

# A transfer takes about so many cycles more than its beats, and a layer than its steps. They only
# weigh one choice against another.
_TRANSFER_CYCLES = 30
_LAYER_CYCLES = 60


class Role(Enum):
    """What a tensor is to a layer."""

    SOURCE = auto()
    ADDED = auto()
    RESULT = auto()


@dataclass(frozen=True, kw_only=True)
class Striping:
    """How a layer is run.

    Parameters
    ----------
    stripes : one if all of it is run at once.
    buffers : of each tensor outside, one or two, which take turns.
    """

    stripes: tuple[Stripe, ...]
    buffers: Mapping[Role, tuple[Place, ...]]


@dataclass(frozen=True, kw_only=True)
class Option:
    """A choice of stripes.

    Parameters
    ----------
    stripes : what the layer is cut to.
    copies : buffers of each tensor outside.
    regions : of a buffer for each of these.
    cycles : about how long the layer takes.
    """

    stripes: tuple[Stripe, ...]
    copies: int
    regions: Mapping[Role, Region]
    cycles: int


def tensors(tiled: TiledLayer) -> dict[Role, tuple[Tensor, Region]]:
    """Return what a layer reads, adds and makes, with the regions."""
    layer = tiled.layer
    found = {Role.SOURCE: (layer.input, tiled.input), Role.RESULT: (layer.output, tiled.output)}
    if layer.shortcut is not None:
        assert tiled.shortcut is not None
        found[Role.ADDED] = layer.shortcut.tensor, tiled.shortcut
    return found


def _rows(stripe: Stripe, role: Role) -> range:
    match role:
        case Role.SOURCE:
            return stripe.source
        case Role.ADDED:
            assert stripe.added is not None
            return stripe.added
        case Role.RESULT:
            return range(stripe.first, stripe.first + stripe.rows)


def _words(tiled: TiledLayer, slices: Sequence[Slice], role: Role, machine: MachineConfig) -> int:
    """Return the channel words that a slice reads, adds or stores at most."""
    match role:
        case Role.SOURCE:
            return max(len(read_words(tiled, part)) for part in slices)
        case Role.ADDED:
            return max(len(added_words(tiled, part, machine)) for part in slices)
        case Role.RESULT:
            return max(len(stored_words(part, machine)) for part in slices)


def _whole_beats(stripes: Sequence[Stripe], image: Outside, windows: Windows) -> bool:
    """Return whether a LOAD can begin with the first row of the image that each stripe reads."""
    for stripe in stripes:
        rows, _, _ = pixel_rows(stripe, windows)
        if not rows or image.loaded(rows) != rows:
            return False
    return True


def _cycles(
    tiled: TiledLayer,
    stripes: Sequence[Stripe],
    copies: int,
    moved: Mapping[Role, int],
    slices: int,
    machine: MachineConfig,
) -> int:
    """Return about how long a layer takes whose stripes move so many bytes of each tensor."""
    steps = max(tiled.walk * len(tiled.schedule.steps), machine.requantizer_slots)
    count = len(stripes) * slices
    of_layer = tiled.tiles * tiled.groups * steps // count + _LAYER_CYCLES

    def transfer(*roles: Role) -> int:
        sizes = [moved[role] // BEAT_BYTES // count for role in roles if role in moved]
        return sum(sizes) + _TRANSFER_CYCLES * len(sizes)

    loaded, stored = transfer(Role.SOURCE, Role.ADDED), transfer(Role.RESULT)
    if copies == 1:
        return count * (loaded + of_layer + stored)
    return loaded + count * max(loaded, of_layer, stored) + stored


def find_options(
    tiled: TiledLayer,
    slices: Sequence[Slice],
    outside: Mapping[str, Outside],
    windows: Windows | None,
    machine: MachineConfig,
) -> list[Option]:
    """Return the choices for a layer some of whose tensors lie outside, the fastest first.

    Parameters
    ----------
    tiled, slices : the layer and its slices.
    outside : tensors that are not on the chip, by name.
    windows : what a LOAD makes of the image, if the layer reads that.
    """
    roles = {
        role: region for role, (tensor, region) in tensors(tiled).items() if tensor.name in outside
    }
    names = {role: tensor.name for role, (tensor, _) in tensors(tiled).items()}
    height = tiled.layer.output.shape[1]
    # An instruction stores rows of one channel word where another tensor's rows lie behind them.
    whole = (
        Role.RESULT not in roles
        and tiled.output.channels > 1
        and unit_words(tiled, machine) is None
    )
    if whole or tiled.layer.adaptation is Adaptation.BETA:
        heights = [height]
    else:
        heights = sorted({-(-height // count) for count in range(1, height + 1)})
    options = []
    for rows in heights:
        stripes = cut(tiled, rows)
        gathered = windows if Role.SOURCE in roles else None
        if gathered and not _whole_beats(stripes, outside[names[Role.SOURCE]], gathered):
            continue
        regions, moved = {}, {}
        for role, region in roles.items():
            held = [_rows(stripe, role) for stripe in stripes]
            if role is Role.SOURCE and not gathered:
                held = [outside[names[role]].loaded(each) for each in held]
            words = _words(tiled, slices, role, machine)
            if not words:
                continue
            regions[role] = replace(region, channels=words, height=max(map(len, held)))
            bytes_of_row = words * region.width << outside[names[role]].pixel_bits
            moved[role] = sum(map(len, held)) * bytes_of_row * len(slices)
        for copies in (1, 2) if len(stripes) * len(slices) > 1 else (1,):
            cycles = _cycles(tiled, stripes, copies, moved, len(slices), machine)
            options.append(Option(stripes=stripes, copies=copies, regions=regions, cycles=cycles))
    return sorted(options, key=lambda option: option.cycles)
