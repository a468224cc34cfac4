# SPDX-License-Identifier: Apache-2.0
"""The network: its nodes checked against each other, saved and loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from tritone.graph.nodes import (
    Convolution,
    Gain,
    Node,
    Pool,
    PoolKind,
    Shortcut,
    Tensor,
    Window,
    require,
)
from tritone.spec.fixed import LOGIT, STREAM, FixedFormat
from tritone.spec.storage import read_json, write_atomically

__all__ = ["FORMAT_VERSION", "Network"]

FORMAT_VERSION = 5


@dataclass(frozen=True, kw_only=True)
class Network:
    """Nodes in the order of execution.

    A node makes every tensor but the input and those that have parts: these are there when all
    their parts are.
    """

    name: str
    input: str
    output: str
    tensors: dict[str, Tensor]
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        known = {self.input}
        for tensor in (self.input, self.output):
            require(
                tensor in self.tensors, f"Network {self.name} must describe its tensor {tensor}"
            )
        image = self.tensors[self.input]
        require(
            image.form is STREAM,
            f"Tensor {image.name} must have {STREAM.bits}-bit codes, the bytes of an image, "
            f"not {image.stream_bits}",
        )
        for node in self.nodes:
            require(
                node.input in known,
                f"Layer {node.name} must read a tensor made before it, not {node.input}",
            )
            require(
                node.output in self.tensors and not self.tensors[node.output].parts,
                f"Layer {node.name} must write a described tensor, not {node.output}",
            )
            require(
                node.output not in known,
                f"Tensor {node.output} must be made once, not again by {node.name}",
            )
            source, result = self.tensors[node.input], self.tensors[node.output]
            require(
                not source.wide,
                f"Layer {node.name} must read codes, not the wide tensor {node.input}",
            )
            channels = source.shape[0]
            if isinstance(node, Convolution):
                require(
                    node.codes.shape[1] * node.groups == channels,
                    f"Layer {node.name} must take {channels} input channels, "
                    f"not {node.codes.shape[1] * node.groups}",
                )
                _check_layer(node, source, result)
                channels = node.codes.shape[0]
            else:
                _check_pool(node, source, result)
            shape = (channels, *node.window.output(*source.shape[1:]))
            require(
                result.shape == shape,
                f"Tensor {node.output} must have the shape {shape}, not {result.shape}",
            )
            if isinstance(node, Convolution) and node.shortcut is not None:
                self._check_shortcut(node, node.shortcut, known)
            if isinstance(node, Convolution) and node.gain is not None:
                self._check_gain(node, node.gain, known)
            known.add(node.output)
            for joined in self.joined(known):
                self._check_parts(joined)
                known.add(joined.name)
        require(self.output in known, f"Tensor {self.output} must be made by a layer")

    def _check_parts(self, joined: Tensor) -> None:
        parts = [self.tensors[name] for name in joined.parts]
        shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        require(
            joined.shape == shape and all(part.shape[1:] == shape[1:] for part in parts),
            f"Tensor {joined.name} must have the channels of {', '.join(joined.parts)} and their "
            f"pixels, {shape}, not {joined.shape}",
        )
        codes = {(part.zero, part.step, part.stream_bits, part.wide) for part in (joined, *parts)}
        require(
            codes == {(joined.zero, joined.step, joined.stream_bits, False)},
            f"Tensor {joined.name} must have codes with the width, zero and step of its parts "
            f"{', '.join(joined.parts)}; give them one quantiser",
        )

    def joined(self, made: Collection[str]) -> list[Tensor]:
        """Return the tensors with parts that are there once ``made`` are, without those in it.

        They come in an order in which parts precede the tensors that have them.
        """
        found: list[Tensor] = []
        names = set(made)
        while True:
            following = [
                tensor
                for tensor in self.tensors.values()
                if tensor.parts and tensor.name not in names and names.issuperset(tensor.parts)
            ]
            if not following:
                return found
            found += following
            names.update(tensor.name for tensor in following)

    def _check_shortcut(self, node: Convolution, shortcut: Shortcut, known: set[str]) -> None:
        require(
            shortcut.tensor in known,
            f"Layer {node.name} must add a tensor made before it, not {shortcut.tensor}",
        )
        added, result = self.tensors[shortcut.tensor], self.tensors[node.output]
        require(
            not added.wide,
            f"Layer {node.name} must add codes, not the wide tensor {shortcut.tensor}",
        )
        most = added.form.shortcut_shift_max
        require(
            node.half_octaves is not None or shortcut.shift <= most,
            f"Layer {node.name} must add {added.stream_bits}-bit codes with t in 0..{most}, "
            f"not {shortcut.shift}",
        )
        require(
            shortcut.channel_offset + added.shape[0] <= result.shape[0],
            f"Layer {node.name} must add channels within its {result.shape[0]}, not "
            f"{shortcut.channel_offset}..{shortcut.channel_offset + added.shape[0] - 1}",
        )
        pixels = shortcut.output(*added.shape[1:])
        require(
            pixels == result.shape[1:],
            f"Layer {node.name} must add {result.shape[1:]} pixels, not {pixels}",
        )

    def _check_gain(self, node: Convolution, gain: Gain, known: set[str]) -> None:
        require(
            gain.tensor in known,
            f"Layer {node.name} must take beta from a tensor made before it, not {gain.tensor}",
        )
        beta, source = self.tensors[gain.tensor], self.tensors[node.input]
        require(
            beta.wide and beta.shape == (1, 1, 1) and source.zero == 0,
            f"Layer {node.name} must read codes with zero 0 and one wide beta, not zero "
            f"{source.zero} and {gain.tensor} of {beta.shape}",
        )
        maker = next(each for each in self.nodes if each.output == gain.tensor)
        low, high = source.form.beta_low, source.form.beta_high
        require(
            isinstance(maker, Convolution) and low <= maker.low <= maker.high <= high,
            f"Tensor {gain.tensor} must be a beta clamped within {low}..{high}",
        )
        largest = source.form.adapted_high
        require(
            not gain.adapted or bool((np.abs(node.multiplier) <= largest).all()),
            f"Layer {node.name} must have M in -{largest}..{largest} where M follows beta",
        )

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
                elif isinstance(value, Window | Shortcut | Gain):
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
        body = read_json(path, "Network", dict)
        if body.get("format") != "tritone.network":
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
        tensors = [
            Tensor(**{**entry, "shape": tuple(entry["shape"]), "parts": tuple(entry["parts"])})
            for entry in body["tensors"]
        ]
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
                    for key in ("codes", "multiplier", "offset", "half_octaves")
                    if f"{entry['name']}.{key}" in arrays
                }
                shortcut = entry.pop("shortcut")
                own["shortcut"] = None if shortcut is None else Shortcut(**shortcut)
                gain = entry.pop("gain")
                own["gain"] = None if gain is None else Gain(**gain)
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


def _check_layer(node: Convolution, source: Tensor, result: Tensor) -> None:
    """Check what a convolution reads of ``source`` and what codes it gives ``result``."""
    shift = node.read_shift(source)
    require(
        shift >= 0,
        f"Layer {node.name} must read at most {node.bits + shift} bits with an adaptive step, "
        f"not {node.bits}",
    )
    require(
        source.zero % (1 << shift) == 0,
        f"Layer {node.name} must read a zero that is a multiple of {1 << shift}, not {source.zero}",
    )
    form: FixedFormat = LOGIT if result.wide else result.form
    require(
        form.low <= node.low and node.high <= form.high,
        f"Layer {node.name} must clamp within {form.low}..{form.high}, not {node.low}..{node.high}",
    )


def _check_pool(node: Pool, source: Tensor, result: Tensor) -> None:
    """Check that a pool keeps the codes of ``source``."""
    require(
        not result.wide and result.zero == source.zero,
        f"Layer {node.name} must keep the zero of {node.input}, {source.zero}",
    )
    require(
        result.form is source.form,
        f"Layer {node.name} must keep the {source.stream_bits}-bit codes of {node.input}, "
        f"not make {result.stream_bits}-bit ones",
    )


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
