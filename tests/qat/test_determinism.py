# SPDX-License-Identifier: Apache-2.0
"""Determinism."""

from __future__ import annotations

from contextlib import suppress

import torch

from tritone.qat.determinism import deterministic


def test_settings_hold_inside_only() -> None:
    """Threads and algorithms are as before afterwards, also when something fails."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    other = before[0] + 1
    with suppress(KeyError), deterministic(other):
        assert torch.get_num_threads() == other
        assert torch.are_deterministic_algorithms_enabled()
        raise KeyError
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
