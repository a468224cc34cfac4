# SPDX-License-Identifier: Apache-2.0
"""Devices by name."""

from __future__ import annotations

import pytest

from tritone.spec.device import DEVICES, Family, device, larger_devices


def test_every_family_has_a_device() -> None:
    """Two families are placed, two are counted only; a placed device has a package."""
    assert {each.family for each in DEVICES.values()} == set(Family)
    for name, each in DEVICES.items():
        assert device(name) is each
        assert bool(each.package) == each.family.routed
    assert {each.name for each in DEVICES.values() if each.family.routed} == {
        "ecp5-25k",
        "ecp5-85k",
        "ice40up5k",
    }


def test_an_unknown_device() -> None:
    """The right names are told."""
    with pytest.raises(
        ValueError, match=r"^Target must be one of ecp5-25k, .*gw2a18, not 'ecp5-45k'$"
    ):
        device("ecp5-45k")


def test_larger_devices() -> None:
    """Of the same family; of others where it has none, if they are placed."""
    assert larger_devices(device("ecp5-25k")) == ["ecp5-85k"]
    assert larger_devices(device("ecp5-85k")) == []
    assert larger_devices(device("ice40up5k")) == ["ecp5-25k", "ecp5-85k"]
