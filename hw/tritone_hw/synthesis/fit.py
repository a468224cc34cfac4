# SPDX-License-Identifier: Apache-2.0
"""Whether a machine fits a device, and what to do where it does not."""

from __future__ import annotations

from dataclasses import replace

from tritone.spec.area import Area, devices_for, lacking
from tritone.spec.device import Device, Family
from tritone.spec.hard_blocks import hard_area
from tritone.spec.machine import PRESETS, MachineConfig, RequantizerKind

__all__ = ["require_fit", "require_hard_blocks"]

# Presets that a message names at most.
_NAMED = 3


def require_hard_blocks(machine: MachineConfig, device: Device, around: Area | None = None) -> None:
    """Refuse, before anything is mapped, a machine that rules say has no room on an ECP5.

    These count block memories and multipliers; of other families there are none.

    Parameters
    ----------
    machine, device : what, on what.
    around : what is known of the design around the machine; None: nothing.

    Raises
    ------
    ValueError : as ``require_fit``.
    """
    if device.family is Family.ECP5:
        require_fit(machine, device, hard_area(machine) + (around or Area()))


def require_fit(machine: MachineConfig, device: Device, area: Area) -> None:
    """Refuse a machine that takes more of anything than the device has.

    Parameters
    ----------
    machine, device : what, on what.
    area : of the whole design.

    Raises
    ------
    ValueError : with what is short, and what has enough of it: devices of the family, else what to
        take less of, and relatives of the family; presets where rules tell.
    """
    short = lacking(area, device)
    if not short:
        return
    if larger := devices_for(area, device.family):
        remedies = [f"{' or '.join(larger)} has enough"]
    else:
        remedies = [f"take {' and '.join(_remedies(machine, device, area))}"]
        if device.family is Family.ICE40:
            remedies += _relatives(machine, area)
    if presets := _presets(machine, device, area):
        remedies.append(f"presets that need no more: {', '.join(presets)}")
    raise ValueError(
        f"Machine {machine.name} must fit {device.name}, not need {', '.join(short)}; "
        f"{'; '.join(remedies)}"
    )


def _relatives(machine: MachineConfig, area: Area) -> list[str]:
    """Return which ECP5 has enough of what a machine takes of an iCE40.

    Their lookup tables have four inputs, too; the rest is counted by rules.
    """
    hard = hard_area(machine)
    names = devices_for(replace(area, bram=hard.bram, dsp=hard.dsp, spram=0), Family.ECP5)
    return [f"of another family {' or '.join(names)} has enough"] if names else []


def _remedies(machine: MachineConfig, device: Device, area: Area) -> list[str]:
    """Return what makes a machine take less of what is short."""
    remedies = []
    if area.sites > device.sites or area.ff > device.ff:
        remedies.append("fewer rows, columns or pixels")
    if area.bram > device.bram or area.spram > device.spram:
        words = "fewer feature_words, weight_words or parameter_words"
        unpacked = "" if machine.packing else " (packing keeps weights of 1 or 2 bits in fewer)"
        remedies.append(words + unpacked)
    if area.dsp > device.dsp:
        if machine.adaptive:
            remedies.append("no adaptive steps")
        elif machine.requantizer is RequantizerKind.MULTIPLIER:
            remedies.append("more requantizer_slots, or the requantizer half_octave without any")
        else:
            remedies.append("fewer columns or pixels")
    return remedies


def _presets(machine: MachineConfig, device: Device, area: Area) -> list[str]:
    """Return presets of the same array, no larger, whose block memories and multipliers suffice.

    None where rules do not tell: of other families, and where something else is short.
    """
    countable = area.sites <= device.sites and area.ff <= device.ff
    if device.family is not Family.ECP5 or not countable:
        return []
    around = area + hard_area(machine) * -1
    found = [
        each
        for each in PRESETS.values()
        if each.array is machine.array
        and each.macs_per_cycle <= machine.macs_per_cycle
        and not lacking(hard_area(each) + around, device)
    ]
    found.sort(key=lambda each: -each.macs_per_cycle)
    return [each.name for each in found[:_NAMED]]
