# SPDX-License-Identifier: Apache-2.0
"""The integer network: the contract between training and everything behind it.

No framework, integers only.

A node reads codes u of its input tensor as activations a, exactly as docs/numerics.md says:

    a = clamp(z_a + ((u - z + half(r)) >> r), 0, 2**b - 1),  r = 8 - b,  z_a = z >> r

A convolution computes ``v = sum scaled(code) * (a - z_a)``, ``scaled`` being 128 times the level,
and ``y = clamp((v * M[c] + D[c]) >> S, low, high)``. A linear layer is a convolution whose window
is the whole input.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from tritone.spec.catalog import codebook
from tritone.spec.fixed import LOGIT, MULTIPLIER, OFFSET, SHIFT_MAX, STREAM
from tritone.spec.storage import write_atomically

__all__ = [
    "FORMAT_VERSION",
    "Convolution",
    "Network",
    "Node",
    "Pool",
    "PoolKind",
    "Tensor",
    "Window",
]

FORMAT_VERSION = 1
Integers = npt.NDArray[np.int64]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A stream tensor.

    Parameters
    ----------
    name : unique in its network.
    shape : channels, height, width.
    zero : code of real 0.
    step : real size of one code; for people and export checks, never used in integer arithmetic.
    wide : signed 16-bit logits (zero 0) instead of unsigned 8-bit codes.
    """

    name: str
    shape: tuple[int, int, int]
    zero: int
    step: float
    wide: bool = False

    def __post_init__(self) -> None:
        _require(
            len(self.shape) == 3 and all(size >= 1 for size in self.shape),
            f"Tensor {self.name} must have a shape of three positive sizes, not {self.shape}",
        )
        top = 0 if self.wide else STREAM.high
        _require(
            0 <= self.zero <= top,
            f"Tensor {self.name} must have a zero in 0..{top}, not {self.zero}",
        )

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1] * self.shape[2]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A sliding window: kernel (height, width), one stride, padding (top, left, bottom, right)."""

    kernel: tuple[int, int]
    stride: int = 1
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        _require(
            all(size >= 1 for size in self.kernel)
            and self.stride >= 1
            and all(size >= 0 for size in self.pad),
            f"Window must have positive sizes, not {self}",
        )

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Return the output height and width."""
        top, left, bottom, right = self.pad
        return (
            (height + top + bottom - self.kernel[0]) // self.stride + 1,
            (width + left + right - self.kernel[1]) // self.stride + 1,
        )


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """Convolution with requantisation; linear layers too.

    Parameters
    ----------
    codes : weight codes, uint8, (out channels, in channels, kernel height, kernel width).
    codebook : name in the catalog.
    bits : b of the activations that it reads.
    pad_code : activation a outside the input.
    multiplier, offset : M and D for each output channel, int64.
    shift, low, high : S and the clamp.
    """

    name: str
    input: str
    output: str
    window: Window
    codebook: str
    codes: npt.NDArray[np.uint8]
    bits: int
    pad_code: int
    multiplier: Integers
    offset: Integers
    shift: int
    low: int
    high: int

    def __post_init__(self) -> None:
        book = codebook(self.codebook)
        _require(
            self.codes.dtype == np.uint8
            and self.codes.ndim == 4
            and self.codes.shape[2:] == self.window.kernel,
            f"Layer {self.name} must have uint8 codes (out, in, {self.window.kernel}), "
            f"not {self.codes.shape}",
        )
        unused = set(np.unique(self.codes).tolist()) - {
            code for code, level in enumerate(book.levels) if level is not None
        }
        _require(
            not unused, f"Layer {self.name} must use codes of {book.name}, not {sorted(unused)}"
        )
        _require(1 <= self.bits <= 8, f"Layer {self.name} must read 1 to 8 bits, not {self.bits}")
        _require(
            0 <= self.pad_code < 1 << self.bits,
            f"Layer {self.name} must pad with a {self.bits}-bit activation, not {self.pad_code}",
        )
        for label, values, fixed in (
            ("M", self.multiplier, MULTIPLIER),
            ("D", self.offset, OFFSET),
        ):
            _require(
                values.shape == self.codes.shape[:1] and values.dtype == np.int64,
                f"Layer {self.name} must have one int64 {label} for each output channel",
            )
            _require(
                bool((values >= fixed.low).all() and (values <= fixed.high).all()),
                f"Layer {self.name} must have {label} in {fixed.bits} signed bits",
            )
        _require(
            0 <= self.shift <= SHIFT_MAX,
            f"Layer {self.name} must have S in 0..{SHIFT_MAX}, not {self.shift}",
        )
        _require(
            LOGIT.low <= self.low <= self.high <= LOGIT.high,
            f"Layer {self.name} must clamp within {LOGIT.low}..{LOGIT.high}, "
            f"not {self.low}..{self.high}",
        )

    @property
    def read_shift(self) -> int:
        """r of the reader."""
        return STREAM.bits - self.bits


class PoolKind(Enum):
    """What a pool computes."""

    MAX = "max"
    AVERAGE = "average"


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Pooling on the 8-bit codes.

    MAX: the largest code of the window, padding being code 0. AVERAGE: with n the size of the
    window, padding being z,
    ``y = clamp(((sum - n * z) * multiplier + half(shift)) >> shift, -z, 255 - z) + z``.
    """

    name: str
    input: str
    output: str
    kind: PoolKind
    window: Window
    multiplier: int = 1
    shift: int = 0

    def __post_init__(self) -> None:
        _require(
            0 <= self.multiplier <= MULTIPLIER.high,
            f"Layer {self.name} must have a multiplier in 0..{MULTIPLIER.high}, "
            f"not {self.multiplier}",
        )
        _require(
            0 <= self.shift <= SHIFT_MAX - 7,
            f"Layer {self.name} must have a shift in 0..{SHIFT_MAX - 7}, not {self.shift}",
        )


Node = Convolution | Pool


@dataclass(frozen=True, kw_only=True)
class Network:
    """Nodes in the order of execution; every tensor but the input has one producer."""

    name: str
    input: str
    output: str
    tensors: dict[str, Tensor]
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        known = {self.input}
        for tensor in (self.input, self.output):
            _require(
                tensor in self.tensors, f"Network {self.name} must describe its tensor {tensor}"
            )
        for node in self.nodes:
            _require(
                node.input in known,
                f"Layer {node.name} must read a tensor made before it, not {node.input}",
            )
            _require(
                node.output in self.tensors,
                f"Layer {node.name} must write a described tensor, not {node.output}",
            )
            _require(
                node.output not in known,
                f"Tensor {node.output} must be made once, not again by {node.name}",
            )
            known.add(node.output)
            source, result = self.tensors[node.input], self.tensors[node.output]
            _require(
                not source.wide,
                f"Layer {node.name} must read 8-bit codes, not the wide tensor {node.input}",
            )
            channels = source.shape[0]
            if isinstance(node, Convolution):
                _require(
                    node.codes.shape[1] == channels,
                    f"Layer {node.name} must take {channels} input channels, "
                    f"not {node.codes.shape[1]}",
                )
                _require(
                    source.zero % (1 << node.read_shift) == 0,
                    f"Layer {node.name} must read a zero that is a multiple of "
                    f"{1 << node.read_shift}, not {source.zero}",
                )
                channels = node.codes.shape[0]
            else:
                _require(
                    not result.wide and result.zero == source.zero,
                    f"Layer {node.name} must keep the zero of {node.input}, {source.zero}",
                )
            shape = (channels, *node.window.output(*source.shape[1:]))
            _require(
                result.shape == shape,
                f"Tensor {node.output} must have the shape {shape}, not {result.shape}",
            )
        _require(self.output in known, f"Tensor {self.output} must be made by a layer")

    def macs(self, node: Node) -> int:
        """Return the useful multiply-accumulates of ``node`` for one image; 0 for pools."""
        if isinstance(node, Pool):
            return 0
        _, height, width = self.tensors[node.output].shape
        return int(node.codes.size) * height * width

    def save(self, folder: Path) -> None:
        """Write ``network.json`` and ``weights.safetensors``, each whole or not at all."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        nodes = []
        for node in self.nodes:
            entry: dict[str, Any] = {"type": type(node).__name__}
            for key, value in vars(node).items():
                if isinstance(value, np.ndarray):
                    arrays[f"{node.name}.{key}"] = np.ascontiguousarray(value)
                elif isinstance(value, Window):
                    entry[key] = vars(value)
                else:
                    entry[key] = value.value if isinstance(value, Enum) else value
            nodes.append(entry)
        weights = safetensors.numpy.save(arrays)
        body = {
            "format": "tritone.network",
            "version": FORMAT_VERSION,
            "name": self.name,
            "input": self.input,
            "output": self.output,
            "tensors": [vars(tensor) for tensor in self.tensors.values()],
            "nodes": nodes,
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
        }
        body["sha256"] = _checksum(body)
        write_atomically(folder / "weights.safetensors", weights)
        write_atomically(folder / "network.json", (json.dumps(body, indent=1) + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> Network:
        """Return the network saved in ``folder``.

        Raises
        ------
        ValueError : another format or version, or a checksum that does not hold.
        FileNotFoundError : a file is missing.
        """
        path = folder / "network.json"
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"Network {path} must be JSON, not damaged: {error}") from error
        if not isinstance(body, dict) or body.get("format") != "tritone.network":
            raise ValueError(f"Network {path} must be a file in the format tritone.network")
        if body.get("version") != FORMAT_VERSION:
            raise ValueError(
                f"Network {path} must have version {FORMAT_VERSION}, not {body.get('version')}"
            )
        if body.pop("sha256", None) != _checksum(body):
            raise ValueError(f"Network {path} must have its own SHA-256; it was changed or damaged")
        weights = (folder / "weights.safetensors").read_bytes()
        if hashlib.sha256(weights).hexdigest() != body["weights_sha256"]:
            raise ValueError(
                f"Network {folder}/weights.safetensors must have the SHA-256 in network.json; "
                "it was changed or damaged"
            )
        arrays = safetensors.numpy.load(weights)
        tensors = [Tensor(**{**entry, "shape": tuple(entry["shape"])}) for entry in body["tensors"]]
        nodes: list[Node] = []
        for entry in body["nodes"]:
            kind = entry.pop("type")
            entry["window"] = Window(
                kernel=tuple(entry["window"]["kernel"]),
                stride=entry["window"]["stride"],
                pad=tuple(entry["window"]["pad"]),
            )
            if kind == "Convolution":
                own: dict[str, Any] = {
                    key: arrays[f"{entry['name']}.{key}"]
                    for key in ("codes", "multiplier", "offset")
                }
                nodes.append(Convolution(**entry, **own))
            elif kind == "Pool":
                nodes.append(Pool(**{**entry, "kind": PoolKind(entry["kind"])}))
            else:
                raise ValueError(f"Node must be a Convolution or a Pool, not {kind!r}")
        return cls(
            name=body["name"],
            input=body["input"],
            output=body["output"],
            tensors={tensor.name: tensor for tensor in tensors},
            nodes=tuple(nodes),
        )


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
