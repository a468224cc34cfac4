# SPDX-License-Identifier: Apache-2.0
"""The integer network: saved and loaded without loss, and refused where it cannot be right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.graph import (
    Convolution,
    Gain,
    Network,
    Node,
    Pool,
    PoolKind,
    Shortcut,
    Tensor,
    Window,
)

SEED = 20240


def convolution(**change: Any) -> Convolution:
    """Return a 3x3 POST4 convolution from 2 to 3 channels."""
    generator = np.random.default_rng(SEED)
    values: dict[str, Any] = {
        "name": "conv",
        "input": "image",
        "output": "features",
        "window": Window(kernel=(3, 3), stride=2, pad=(1, 1, 1, 1)),
        "codebook": "post4",
        "codes": generator.integers(0, 16, (3, 2, 3, 3)).astype(np.uint8),
        "bits": 4,
        "pad_code": 8,
        "multiplier": np.array([-32768, 0, 32767], np.int64),
        "offset": np.array([-(1 << 47), 0, (1 << 47) - 1], np.int64),
        "shift": 20,
        "low": 0,
        "high": 255,
    }
    return Convolution(**(values | change))


def shortcut(**change: Any) -> Shortcut:
    """Return a shortcut from the image to the convolution, whose stride it has."""
    values: dict[str, Any] = {"tensor": "image", "stride": 2, "multiplier": -7, "shift": 9}
    return Shortcut(**(values | change))


def pool(**change: Any) -> Pool:
    """Return a 2x2 average pool behind the convolution."""
    values: dict[str, Any] = {
        "name": "pool",
        "input": "features",
        "output": "pooled",
        "kind": PoolKind.AVERAGE,
        "window": Window(kernel=(2, 2), stride=2),
        "multiplier": 1 << 10,
        "shift": 12,
    }
    return Pool(**(values | change))


def network(
    nodes: tuple[Node, ...] | None = None, tensors: dict[str, Tensor] | None = None, **change: Any
) -> Network:
    """Return image (2, 7, 8) -> conv -> features (3, 4, 4) -> pool -> pooled (3, 2, 2)."""
    every = {
        "image": Tensor(name="image", shape=(2, 7, 8), zero=128, step=1 / 64),
        "features": Tensor(name="features", shape=(3, 4, 4), zero=16, step=0.1),
        "pooled": Tensor(name="pooled", shape=(3, 2, 2), zero=16, step=0.1),
    } | (tensors or {})
    values: dict[str, Any] = {
        "name": "sample",
        "input": "image",
        "output": "pooled",
        "tensors": every,
        "nodes": nodes if nodes is not None else (convolution(), pool()),
    }
    return Network(**(values | change))


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
    with pytest.raises(ValueError, match=r"must be a file in the format tritone.network$"):
        Network.load(tmp_path)
    path.write_text(json.dumps(body | {"version": 1}))
    with pytest.raises(ValueError, match=r"must have version 4, not 1$"):
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
            r"^Layer again must add 8-bit codes, not the wide tensor features$",
        ),
        (
            {
                "nodes": (convolution(shortcut=shortcut()),),
                "tensors": {
                    "image": Tensor(name="image", shape=(2, 7, 8), zero=0, step=1.0, wide=True)
                },
            },
            r"^Layer conv must read 8-bit codes, not the wide tensor image$",
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
            {"tensors": renamed(FEATURES, zero=0, wide=True)},
            r"^Layer pool must read 8-bit codes, not the wide tensor features$",
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


def adaptive(**change: Any) -> Network:
    """Return image -> beta (1, 1, 1), image -> result; ``change`` is of the layer of beta."""
    beta = convolution(
        name="beta",
        output="beta",
        window=Window(kernel=(7, 8)),
        codes=np.zeros((1, 2, 7, 8), np.uint8),
        multiplier=np.ones(1, np.int64),
        offset=np.ones(1, np.int64),
        low=512,
        high=2048,
        pad_code=0,
    )
    reader = convolution(
        gain=Gain(tensor="beta", adapted=True),
        multiplier=np.array([-5, 0, 5], np.int64),
        pad_code=0,
    )
    tensors = {
        "image": Tensor(name="image", shape=(2, 7, 8), zero=0, step=1.0),
        "beta": Tensor(name="beta", shape=(1, 1, 1), zero=0, step=1 / 1024, wide=True),
        "features": Tensor(name="features", shape=(3, 4, 4), zero=0, step=1.0),
    }
    return Network(
        name="adaptive",
        input="image",
        output="features",
        tensors=tensors | change.pop("tensors", {}),
        nodes=(replace(beta, **change), reader),
    )


def test_a_gain_survives_a_file(tmp_path: Path) -> None:
    """What is saved and loaded again reads with the same beta."""
    adaptive().save(tmp_path)
    node = Network.load(tmp_path).nodes[1]
    assert isinstance(node, Convolution)
    assert node.gain == Gain(tensor="beta", adapted=True, headroom=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 511}, r"^Tensor beta must be a beta clamped within 512\.\.2048$"),
        ({"high": 2049}, r"^Tensor beta must be a beta clamped within 512\.\.2048$"),
        (
            {"tensors": {"image": Tensor(name="image", shape=(2, 7, 8), zero=32, step=1.0)}},
            r"^Layer conv must read codes with zero 0 and one wide beta, not zero 32 and beta of ",
        ),
        (
            {"tensors": {"beta": Tensor(name="beta", shape=(1, 1, 1), zero=0, step=1.0)}},
            r"^Layer conv must read codes with zero 0 and one wide beta, ",
        ),
    ],
)
def test_betas_are_checked(change: dict[str, Any], message: str) -> None:
    """beta is one wide value in 1/2..2, and codes that it divides have no zero point."""
    with pytest.raises(ValueError, match=message):
        adaptive(**change)


def test_beta_is_made_before_it_is_used() -> None:
    """Nodes are in the order of execution."""
    message = r"^Layer conv must take beta from a tensor made before it, not later$"
    reader = convolution(
        gain=Gain(tensor="later", adapted=False), pad_code=0, multiplier=np.zeros(3, np.int64)
    )
    with pytest.raises(ValueError, match=message):
        network(nodes=(reader, pool()))
