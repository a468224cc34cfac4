# SPDX-License-Identifier: Apache-2.0
"""Choices of stripes: what their buffers hold, and which one is taken to be the fastest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tritone.compiler.constants import Slice
from tritone.compiler.fold import fold
from tritone.compiler.outside import Outside
from tritone.compiler.striping import Role, find_options, tensors
from tritone.compiler.tile import tile
from tritone.graph import Network
from tritone.spec.isa import Base
from tritone.spec.machine import preset

TINY = preset("tiny-p2")
INPUT = Outside(base=Base.PROGRAM, offset=0, height=12, width=16, pixel_bits=3)


def _tiled(spec: Any, random_network: Callable[..., Network]) -> Any:
    (layer,) = fold(random_network((16, 12, 16), [spec(out=8, pad=(1, 1, 1, 1))]))
    return tile(layer, TINY)


def test_buffers_hold_the_rows_of_windows(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """All heights that differ, each with one buffer or two, but the whole with one."""
    tiled = _tiled(spec, random_network)
    options = find_options(tiled, [Slice(0, 0, 1)], {"input": INPUT}, None, TINY)
    rows = {
        (option.stripes[0].rows, option.copies): option.regions[Role.SOURCE].height
        for option in options
    }
    heights = {1: 3, 2: 4, 3: 5, 4: 6, 6: 7, 12: 12}
    expected = {(each, copies): heights[each] for each in heights for copies in (1, 2)}
    del expected[12, 2]
    assert rows == expected
    assert all(set(option.regions) == {Role.SOURCE} for option in options)
    assert all(option.regions[Role.SOURCE].channels == 2 for option in options)


def test_the_fastest_comes_first(spec: Any, random_network: Callable[..., Network]) -> None:
    """Two buffers hide the transfers; with one the fewest stripes load the fewest rows."""
    tiled = _tiled(spec, random_network)
    options = find_options(tiled, [Slice(0, 0, 1)], {"input": INPUT}, None, TINY)
    assert [option.cycles for option in options] == sorted(option.cycles for option in options)
    assert options[0].copies == 2
    single = [option.stripes[0].rows for option in options if option.copies == 1]
    assert single == [12, 6, 4, 3, 2, 1]


def test_roles(residual_blocks: Callable[..., Network]) -> None:
    """What a layer reads and makes, and what it adds where it adds something."""
    layers = [tile(layer, TINY) for layer in fold(residual_blocks("identity", 0))]
    names = [{role: each.name for role, (each, _) in tensors(tiled).items()} for tiled in layers]
    assert names[0] == {Role.SOURCE: "input", Role.RESULT: "tensor0"}
    assert names[2] == {Role.SOURCE: "tensor1", Role.RESULT: "tensor2", Role.ADDED: "tensor0"}
