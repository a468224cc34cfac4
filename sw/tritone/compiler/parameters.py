# SPDX-License-Identifier: Apache-2.0
"""The constants of a layer's channels as parameter memory holds them."""

from __future__ import annotations

from tritone.compiler.fold import Integers, require_format
from tritone.compiler.tile import TiledLayer
from tritone.spec.fixed import BIAS, OFFSET, STREAM, half
from tritone.spec.isa import parameter_record
from tritone.spec.machine import MachineConfig

__all__ = ["parameter_words", "shortcut_places"]


def shortcut_places(tiled: TiledLayer) -> tuple[int, int]:
    """Return t and d of a layer without multipliers: its shortcut counts ``2**(t - d)`` steps."""
    added = tiled.layer.shortcut
    if added is None or tiled.layer.octaves is None:
        return 0, 0
    return max(added.shift, 0), max(-added.shift, 0)


def parameter_words(tiled: TiledLayer, machine: MachineConfig) -> bytes:
    """Return the parameter words of a layer.

    Channels behind the last one get B = M = 0 and a D by which they become the output's zero, as
    far as D reaches. Without an M it is the largest S for which D does, 39 in all: v has 36 bits,
    less than half of what counts then.

    Without multipliers a shortcut is added where S has been taken less the d places that its steps
    are smaller: ``(v + D + ((k - z_k) << (S - d))) >> S = (((v + D) >> (S - d)) + k - z_k) >> d``.
    """
    layer, bias = tiled.layer, tiled.schedule.bias
    require_format(layer.name, "B", int(bias.min()), int(bias.max()), BIAS)
    zero = layer.output.zero
    columns: dict[str, Integers] = {"bias": bias, "offset": layer.offset}
    if layer.octaves is None:
        columns["multiplier"] = layer.multiplier
        filler = {"bias": 0, "multiplier": 0, "offset": min(zero << layer.shift, OFFSET.high)}
    else:
        columns["turned"] = layer.octaves.odd
        down = shortcut_places(tiled)[1]
        columns["shift"] = layer.octaves.shifts - down
        shift = OFFSET.bits - 1 - STREAM.bits
        filler = {"bias": 0, "turned": 0, "shift": shift - down}
        filler["offset"] = (zero << shift) + half(shift)
    records = [
        {name: int(values[channel]) for name, values in columns.items()}
        for channel in range(len(bias))
    ]
    records += [filler] * (tiled.groups * machine.columns - len(records))
    record = parameter_record(machine)
    return b"".join(record.pack(each).to_bytes(record.bits // 8, "little") for each in records)
