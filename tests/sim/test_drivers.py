# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.drivers: the rule of AXI that the host checks on the machine."""

from __future__ import annotations

import pytest

from tritone_sim.drivers import HeldChannel, check_burst


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


def test_reset_drops_what_waits() -> None:
    channel = HeldChannel("w")
    channel.observe(True, False, (1,))
    channel.forget()
    channel.observe(False, False, (0,))


@pytest.mark.parametrize(
    ("address", "beats", "kind", "message"),
    [
        (0x1000, 16, 0, "AXI burst must be INCR, not FIXED"),
        (0x1000, 17, 1, "AXI burst must be of at most 16 beats, not 17"),
        (
            0x1FF8,
            2,
            1,
            "AXI burst must end in its page of 4096 bytes, not be 2 beats from 0x1ff8 on",
        ),
    ],
)
def test_bursts_that_are_not_allowed(address: int, beats: int, kind: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_burst(address, beats, kind)


@pytest.mark.parametrize(("address", "beats"), [(0x1F80, 16), (0x1FF8, 1), (0, 1)])
def test_bursts_that_are_allowed(address: int, beats: int) -> None:
    """Up to the last byte of a page."""
    check_burst(address, beats, 1)
