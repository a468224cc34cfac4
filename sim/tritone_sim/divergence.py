# SPDX-License-Identifier: Apache-2.0
"""Comparing what the Verilog wrote with the golden machine, and finding the first wrong value."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tritone_sim.dump import DumpedTensor

__all__ = ["Comparison", "Divergence", "LayerComparison", "compare", "join"]

Tensors = Sequence[npt.NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The first value that differs: by image, layer, write-back, then channel and pixel.

    Parameters
    ----------
    image : index in the run.
    layer, tensor, channel, y, x : where it is.
    expected, got : the golden machine's value and the Verilog's.
    cycle : clock cycle since reset in which it was written; None if it never was.
    first : the image with which the run began that counts these cycles.
    """

    image: int
    layer: str
    tensor: str
    channel: int
    y: int
    x: int
    expected: int
    got: int
    cycle: int | None
    first: int = 0

    def __str__(self) -> str:
        when = "never written" if self.cycle is None else f"written in cycle {self.cycle}"
        if self.first:
            when += f" of a run from image {self.first} on"
        return (
            f"image {self.image}, layer {self.layer}, tensor {self.tensor}, "
            f"channel {self.channel}, pixel ({self.y}, {self.x}): "
            f"expected {self.expected}, got {self.got}, {when}"
        )


@dataclass(frozen=True, kw_only=True)
class LayerComparison:
    """The values of one layer, of all images.

    Parameters
    ----------
    layer, tensor : its name, and that of what it computes.
    values, mismatches : compared and different.
    divergence : the first different one, if any.
    """

    layer: str
    tensor: str
    values: int
    mismatches: int
    divergence: Divergence | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All values of all images against the golden machine.

    Parameters
    ----------
    layers : in the order of the program.
    tensor_sha256 : for each tensor, over its stored regions of all images. With fewer columns than
        rows a region also shows what lay there before, so it depends on where the run began.
    """

    layers: tuple[LayerComparison, ...]
    tensor_sha256: dict[str, str]

    @property
    def values(self) -> int:
        """Values compared."""
        return sum(each.values for each in self.layers)

    @property
    def mismatches(self) -> int:
        """Values that differ."""
        return sum(each.mismatches for each in self.layers)

    @property
    def divergence(self) -> Divergence | None:
        """The first value that differs: of the first image, there of the first layer."""
        found = [each.divergence for each in self.layers if each.divergence is not None]
        return min(found, key=lambda each: each.image, default=None)


def compare(
    tensors: Sequence[DumpedTensor],
    dumps: bytes,
    expected: Sequence[Tensors],
    write_backs: Sequence[int],
) -> Comparison:
    """Compare the dumps of the machine with the tensors that the golden machine gives.

    Parameters
    ----------
    tensors : what an image's dump holds.
    dumps : of all images.
    expected : for each image, for each tensor [C, H, W].
    write_backs : clock cycles of all write-backs of all images.
    """
    stride = sum(tensor.bytes for tensor in tensors)
    if len(dumps) != stride * len(expected):
        raise ValueError(
            f"Dumps must hold {len(expected)} images of {stride} bytes, not {len(dumps)} bytes"
        )
    values = [0] * len(tensors)
    mismatches = [0] * len(tensors)
    first: list[Divergence | None] = [None] * len(tensors)
    for image, golden in enumerate(expected):
        dump = dumps[image * stride : (image + 1) * stride]
        for index, tensor in enumerate(tensors):
            got = tensor.decode(tensor.region(dump))
            if got.shape != golden[index].shape:
                raise ValueError(
                    f"Golden tensor {tensor.name} must have the shape {got.shape}, "
                    f"not {golden[index].shape}"
                )
            values[index] += got.size
            wrong = np.argwhere(got != golden[index])
            mismatches[index] += len(wrong)
            if len(wrong) and first[index] is None:
                place = min((tensor.write_back(c, y, x), c, y, x) for c, y, x in wrong.tolist())
                first[index] = Divergence(
                    image=image,
                    layer=tensor.layer,
                    tensor=tensor.name,
                    channel=place[1],
                    y=place[2],
                    x=place[3],
                    expected=int(golden[index][place[1:]]),
                    got=int(got[place[1:]]),
                    cycle=_cycle(tensors, image, index, place[0], write_backs),
                )
    layers = (
        LayerComparison(
            layer=tensor.layer,
            tensor=tensor.name,
            values=values[index],
            mismatches=mismatches[index],
            divergence=first[index],
        )
        for index, tensor in enumerate(tensors)
    )
    return Comparison(layers=tuple(layers), tensor_sha256=_digests(tensors, [dumps]))


def join(
    tensors: Sequence[DumpedTensor],
    parts: Sequence[Comparison],
    dumps: Sequence[bytes],
) -> Comparison:
    """Return the comparison of all images from those of one share of them after the other.

    Parameters
    ----------
    tensors : what an image's dump holds.
    parts, dumps : of each share, in the order of their images.
    """
    stride = sum(tensor.bytes for tensor in tensors)
    layers = []
    for index, tensor in enumerate(tensors):
        image = 0
        divergence = None
        for part, dump in zip(parts, dumps, strict=True):
            found = part.layers[index].divergence
            if found is not None and divergence is None:
                divergence = replace(found, image=image + found.image, first=image)
            image += len(dump) // stride
        layers.append(
            LayerComparison(
                layer=tensor.layer,
                tensor=tensor.name,
                values=sum(part.layers[index].values for part in parts),
                mismatches=sum(part.layers[index].mismatches for part in parts),
                divergence=divergence,
            )
        )
    return Comparison(layers=tuple(layers), tensor_sha256=_digests(tensors, dumps))


def _digests(tensors: Sequence[DumpedTensor], dumps: Sequence[bytes]) -> dict[str, str]:
    stride = sum(tensor.bytes for tensor in tensors)
    digests = {tensor.name: hashlib.sha256() for tensor in tensors}
    for each in dumps:
        for start in range(0, len(each), stride):
            dump = each[start : start + stride]
            for tensor in tensors:
                digests[tensor.name].update(tensor.region(dump))
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _cycle(
    tensors: Sequence[DumpedTensor], image: int, index: int, place: int, write_backs: Sequence[int]
) -> int | None:
    counts = [tensor.write_backs for tensor in tensors]
    number = image * sum(counts) + sum(counts[:index]) + place
    return write_backs[number] if number < len(write_backs) else None
