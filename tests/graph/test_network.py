# SPDX-License-Identifier: Apache-2.0
"""The integer network: saved and loaded without loss, and refused where it cannot be right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_network import convolution, network, pool, shortcut

from tritone.graph import Convolution, Network, Tensor


def assert_same(first: Network, second: Network) -> None:
    """Compare every field, arrays by value and type."""
    assert (first.name, first.input, first.output) == (second.name, second.input, second.output)
    assert list(first.tensors.items()) == list(second.tensors.items())
    assert [type(node) for node in first.nodes] == [type(node) for node in second.nodes]
    for mine, other in zip(first.nodes, second.nodes, strict=True):
        for key, value in vars(mine).items():
            twin = getattr(other, key)
            if isinstance(value, np.ndarray):
                assert value.dtype == twin.dtype
                assert np.array_equal(value, twin)
            else:
                assert value == twin


def test_round_trip(tmp_path: Path) -> None:
    """What is saved is loaded again, to the type."""
    network().save(tmp_path)
    assert_same(network(), Network.load(tmp_path))


def test_round_trip_of_shortcuts_and_groups(tmp_path: Path) -> None:
    """A grouped layer with a shortcut comes back as it was."""
    node = convolution(
        codes=convolution().codes[:2, :1],
        multiplier=np.array([3, -4], np.int64),
        offset=np.array([5, 6], np.int64),
        groups=2,
        shortcut=shortcut(),
    )
    tensors = renamed(FEATURES, shape=(2, 4, 4)) | renamed(POOLED, shape=(2, 2, 2))
    saved = network((node, pool()), tensors)
    saved.save(tmp_path)
    assert_same(saved, Network.load(tmp_path))
    assert saved.macs(node) == 2 * 9 * 16


def test_saving_is_reproducible(tmp_path: Path) -> None:
    """The same network gives the same bytes."""
    for folder in ("a", "b"):
        network().save(tmp_path / folder)
    for file in ("network.json", "weights.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("file", ["network.json", "weights.safetensors"])
def test_damaged_files_are_refused(tmp_path: Path, file: str) -> None:
    """A changed or cut-off file is named; every 7th byte is tried."""
    network().save(tmp_path)
    path = tmp_path / file
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        for damaged in (
            whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :],
            whole[:position],
        ):
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=rf"^Network .*({file}|network\.json) must "):
                Network.load(tmp_path)


def test_files_of_another_format_are_refused(tmp_path: Path) -> None:
    """Neither JSON of something else nor another version is taken."""
    network().save(tmp_path)
    path = tmp_path / "network.json"
    body = json.loads(path.read_text())
    path.write_text("[]")
    with pytest.raises(
        ValueError, match=r"^Network .*network\.json must hold an object, not \[\]$"
    ):
        Network.load(tmp_path)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"must be a file in the format tritone.network$"):
        Network.load(tmp_path)
    path.write_text(json.dumps(body | {"version": 1}))
    with pytest.raises(ValueError, match=r"must have version 5, not 1$"):
        Network.load(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    """A folder without a network raises FileNotFoundError."""
    with pytest.raises(FileNotFoundError, match=r"network\.json"):
        Network.load(tmp_path)


def renamed(tensor: Tensor, **change: Any) -> dict[str, Tensor]:
    """Return a changed tensor as ``network`` takes it."""
    return {tensor.name: replace(tensor, **change)}


FEATURES = network().tensors["features"]
POOLED = network().tensors["pooled"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": (pool(), convolution())}, r"^Layer pool must read a tensor made before it, not"),
        (
            {"nodes": (convolution(output="x"),)},
            r"^Layer conv must write a described tensor, not x",
        ),
        (
            {"nodes": (convolution(), convolution(name="again"))},
            r"^Tensor features must be made once, not again by again$",
        ),
        ({"output": "nothing"}, r"^Network sample must describe its tensor nothing$"),
        ({"nodes": (convolution(),)}, r"^Tensor pooled must be made by a layer$"),
        (
            {"nodes": (convolution(codes=np.zeros((3, 4, 3, 3), np.uint8)),)},
            r"^Layer conv must take 2 input channels, not 4$",
        ),
        (
            {
                "nodes": (
                    convolution(
                        codes=np.zeros((4, 2, 3, 3), np.uint8),
                        groups=2,
                        multiplier=np.zeros(4, np.int64),
                        offset=np.zeros(4, np.int64),
                    ),
                )
            },
            r"^Layer conv must take 2 input channels, not 4$",
        ),
        (
            {"nodes": (convolution(shortcut=shortcut(tensor="features")),)},
            r"^Layer conv must add a tensor made before it, not features$",
        ),
        (
            {"nodes": (convolution(shortcut=shortcut(channel_offset=2)),)},
            r"^Layer conv must add channels within its 3, not 2..3$",
        ),
        (
            {"nodes": (convolution(shortcut=shortcut(stride=1)),)},
            r"^Layer conv must add \(4, 4\) pixels, not \(7, 8\)$",
        ),
        (
            {
                "nodes": (
                    convolution(),
                    convolution(
                        name="again",
                        output="pooled",
                        shortcut=shortcut(tensor="features", stride=1),
                    ),
                ),
                "tensors": renamed(FEATURES, zero=0, wide=True) | renamed(POOLED, shape=(3, 4, 4)),
            },
            r"^Layer again must add codes, not the wide tensor features$",
        ),
        (
            {
                "nodes": (convolution(shortcut=shortcut()),),
                "tensors": {
                    "image": Tensor(name="image", shape=(2, 7, 8), zero=0, step=1.0, wide=True)
                },
            },
            r"^Layer conv must read codes, not the wide tensor image$",
        ),
        (
            {"tensors": renamed(POOLED, zero=3)},
            r"^Layer pool must keep the zero of features, 16$",
        ),
        (
            {"tensors": {"image": Tensor(name="image", shape=(2, 7, 8), zero=120, step=1.0)}},
            r"^Layer conv must read a zero that is a multiple of 16, not 120$",
        ),
        (
            {"tensors": renamed(FEATURES, shape=(3, 4, 5))},
            r"^Tensor features must have the shape \(3, 4, 4\), not \(3, 4, 5\)$",
        ),
        (
            {"tensors": renamed(FEATURES, stream_bits=12)},
            r"^Layer pool must keep the 12-bit codes of features, not make 8-bit ones$",
        ),
        (
            {
                "tensors": {
                    "image": Tensor(
                        name="image", shape=(2, 7, 8), zero=128, step=1.0, stream_bits=12
                    )
                }
            },
            r"^Tensor image must have 8-bit codes, the bytes of an image, not 12$",
        ),
        (
            {"nodes": (convolution(low=-1), pool())},
            r"^Layer conv must clamp within 0\.\.255, not -1\.\.255$",
        ),
        (
            {"nodes": (convolution(high=256), pool())},
            r"^Layer conv must clamp within 0\.\.255, not 0\.\.256$",
        ),
        (
            {
                "nodes": (convolution(high=4096), pool()),
                "tensors": renamed(FEATURES, stream_bits=12) | renamed(POOLED, stream_bits=12),
            },
            r"^Layer conv must clamp within 0\.\.4095, not 0\.\.4096$",
        ),
        (
            {
                "nodes": (
                    convolution(),
                    convolution(
                        name="again",
                        input="features",
                        codes=np.zeros((3, 3, 3, 3), np.uint8),
                        output="pooled",
                        shortcut=shortcut(tensor="features", shift=28),
                    ),
                ),
                "tensors": renamed(FEATURES, zero=0, stream_bits=12),
            },
            r"^Layer again must add 12-bit codes with t in 0\.\.27, not 28$",
        ),
        (
            {"tensors": renamed(FEATURES, zero=0, wide=True)},
            r"^Layer pool must read codes, not the wide tensor features$",
        ),
    ],
)
def test_networks_are_checked(change: dict[str, Any], message: str) -> None:
    """Each contract between layers has its message."""
    with pytest.raises(ValueError, match=message):
        network(**change)


def test_macs() -> None:
    """3 outputs x 2 inputs x 9 taps x 16 pixels; a pool has none."""
    sample = network()
    assert [sample.macs(node) for node in sample.nodes] == [3 * 2 * 9 * 16, 0]
    assert sample.tensors["features"].size == 48


def test_codes_of_12_bits_survive_a_file(tmp_path: Path) -> None:
    """Their width is that of their tensors, and r follows it."""
    tensors = renamed(FEATURES, zero=4095, stream_bits=12)
    saved = network(tensors=tensors | renamed(POOLED, zero=4095, stream_bits=12))
    saved.save(tmp_path)
    loaded = Network.load(tmp_path)
    assert_same(saved, loaded)
    assert loaded.tensors["features"].stream_bits == 12
    node = loaded.nodes[0]
    assert isinstance(node, Convolution)
    assert [node.read_shift(loaded.tensors[name]) for name in ("image", "features")] == [4, 8]
