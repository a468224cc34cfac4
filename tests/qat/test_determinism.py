# SPDX-License-Identifier: Apache-2.0
"""Determinism."""

from __future__ import annotations

from contextlib import suppress

import torch

from tritone.qat.determinism import deterministic, seeded, tensor_seed


def test_settings_hold_inside_only() -> None:
    """Threads and algorithms are as before afterwards, also when something fails."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    other = before[0] + 1
    with suppress(KeyError), deterministic(other):
        assert torch.get_num_threads() == other
        assert torch.are_deterministic_algorithms_enabled()
        raise KeyError
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_seeds_of_tensors() -> None:
    """Names and seeds give seeds that all differ, of 63 bits, with room to count 2**16 calls."""
    found = [tensor_seed(name, seed) for name in ("conv1", "conv2", "fc") for seed in range(1000)]
    assert len({seed >> 16 for seed in found}) == 3000
    assert all(0 <= seed < 1 << 63 and seed % (1 << 16) == 0 for seed in found)
    assert tensor_seed("conv1", 7) == tensor_seed("conv1", 7)


def test_random_numbers_depend_on_the_text_alone() -> None:
    """Whatever was drawn before; and what is drawn behind does not depend on what was inside."""
    torch.manual_seed(1)
    expected = torch.rand(2)
    drawn = []
    for name in ("one", "other", "one"):
        torch.manual_seed(1)
        first = torch.rand(1)
        with seeded(name, torch.device("cpu")):
            drawn.append(torch.rand(4))
        assert torch.equal(torch.cat((first, torch.rand(1))), expected)
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
