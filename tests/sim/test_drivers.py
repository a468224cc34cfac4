# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.drivers: the rule of AXI that the host checks on the machine."""

from __future__ import annotations

import pytest

from tritone_sim.drivers import HeldChannel


def observe(*edges: tuple[bool, bool, int]) -> None:
    """Show (valid, ready, payload) of successive clock edges to a channel."""
    channel = HeldChannel("w")
    for valid, ready, payload in edges:
        channel.observe(valid, ready, (payload,))


def test_a_payload_may_change_when_it_was_taken() -> None:
    observe((True, True, 1), (True, False, 2), (True, True, 2), (False, False, 0), (True, True, 3))


def test_a_payload_must_not_change_while_it_waits() -> None:
    message = r"^AXI channel w must hold \(1,\) until it is taken, not \(2,\)$"
    with pytest.raises(ValueError, match=message):
        observe((True, False, 1), (True, True, 2))


def test_valid_must_not_fall_while_it_waits() -> None:
    message = r"^AXI channel w must hold \(1,\) until it is taken, not fall$"
    with pytest.raises(ValueError, match=message):
        observe((True, False, 1), (False, True, 1))
