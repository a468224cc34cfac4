# SPDX-License-Identifier: Apache-2.0
"""Layers that read with an adaptive step, checked against the layer of their beta."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_network import convolution, network, pool

from tritone.graph import Convolution, Gain, Network, Tensor, Window


def adaptive(reads: Mapping[str, Any] | None = None, **change: Any) -> Network:
    """Return image -> beta (1, 1, 1), image -> result.

    ``change`` is of the layer of beta, ``reads`` of the one that reads with it.
    """
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
    own: dict[str, Any] = {
        "gain": Gain(tensor="beta", adapted=True),
        "multiplier": np.array([-5, 0, 5], np.int64),
        "pad_code": 0,
    }
    reader = convolution(**(own | dict(reads or {})))
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
            {
                "tensors": {"beta": Tensor(name="beta", shape=(1, 1, 1), zero=0, step=1.0)},
                "low": 0,
                "high": 255,
            },
            r"^Layer conv must read codes with zero 0 and one wide beta, ",
        ),
    ],
)
def test_betas_are_checked(change: dict[str, Any], message: str) -> None:
    """beta is one wide value in 1/2..2, and codes that it divides have no zero point."""
    with pytest.raises(ValueError, match=message):
        adaptive(**change)


@pytest.mark.parametrize(
    ("reads", "message"),
    [
        ({"bits": 8}, r"^Layer conv must read at most 7 bits with an adaptive step, not 8$"),
        (
            {"multiplier": np.array([0, 0, -16384], np.int64)},
            r"^Layer conv must have M in -16383\.\.16383 where M follows beta$",
        ),
    ],
)
def test_what_reads_with_beta_is_checked(reads: dict[str, Any], message: str) -> None:
    """Headroom leaves bits to read; M that follows beta needs a bit to spare."""
    adaptive({"bits": 7, "multiplier": np.array([0, -16383, 16383], np.int64)})
    adaptive(
        {
            "multiplier": np.array([0, 0, -16384], np.int64),
            "gain": Gain(tensor="beta", adapted=False),
        }
    )
    with pytest.raises(ValueError, match=message):
        adaptive(reads)


def fine(**change: Any) -> Network:
    """Return image -> inner -> beta, inner -> result with 12-bit codes; as in ``adaptive``."""
    own = {"low": 256, "high": 4095, "multiplier": 8191, "bits": 8, "headroom": 2} | change
    inner = convolution(
        name="inner",
        output="inner",
        window=Window(kernel=(1, 1)),
        codes=np.zeros((2, 2, 1, 1), np.uint8),
        multiplier=np.ones(2, np.int64),
        offset=np.ones(2, np.int64),
        high=4095,
    )
    tensors = {
        "image": Tensor(name="image", shape=(2, 7, 8), zero=128, step=1 / 64),
        "inner": Tensor(name="inner", shape=(2, 7, 8), zero=0, step=1.0, stream_bits=12),
        "features": Tensor(name="features", shape=(3, 4, 4), zero=0, step=1.0, stream_bits=12),
    }
    beta, reader = adaptive(
        {"multiplier": np.array([0, 5, 0], np.int64), "bits": 4},
        low=512,
        high=512,
    ).nodes
    assert isinstance(beta, Convolution)
    assert isinstance(reader, Convolution)
    gain = Gain(tensor="beta", adapted=True, headroom=own["headroom"])
    changed = replace(
        reader,
        input="inner",
        gain=gain,
        bits=own["bits"],
        high=4095,
        multiplier=np.array([0, own["multiplier"], 0], np.int64),
    )
    return Network(
        name="fine",
        input="image",
        output="features",
        tensors=tensors | {"beta": adaptive().tensors["beta"]},
        nodes=(inner, replace(beta, input="inner", low=own["low"], high=own["high"]), changed),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 255}, r"^Tensor beta must be a beta clamped within 256\.\.4095$"),
        ({"high": 4096}, r"^Tensor beta must be a beta clamped within 256\.\.4095$"),
        (
            {"multiplier": 8192},
            r"^Layer conv must have M in -8191\.\.8191 where M follows beta$",
        ),
        (
            {"headroom": 5},
            r"^Layer conv must read at most 7 bits with an adaptive step, not 8$",
        ),
    ],
)
def test_betas_of_12_bit_codes_are_checked(change: dict[str, Any], message: str) -> None:
    """beta is in 1/4..4 less 2**-10, and M, times it, an M again."""
    node = fine().nodes[-1]
    assert isinstance(node, Convolution)
    assert node.read_shift(fine().tensors["inner"]) == 2
    assert (8191 * 4095 + 512) >> 10 <= 32767
    with pytest.raises(ValueError, match=message):
        fine(**change)


def test_beta_is_made_before_it_is_used() -> None:
    """Nodes are in the order of execution."""
    message = r"^Layer conv must take beta from a tensor made before it, not later$"
    reader = convolution(
        gain=Gain(tensor="later", adapted=False), pad_code=0, multiplier=np.zeros(3, np.int64)
    )
    with pytest.raises(ValueError, match=message):
        network(nodes=(reader, pool()))
