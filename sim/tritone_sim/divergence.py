# SPDX-License-Identifier: Apache-2.0
"""Comparing what the Verilog wrote with the golden machine, and finding the first wrong value."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tritone_sim.dump import DumpedTensor

__all__ = ["Comparison", "Divergence", "compare"]

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

    def __str__(self) -> str:
        when = "never written" if self.cycle is None else f"written in cycle {self.cycle}"
        return (
            f"image {self.image}, layer {self.layer}, tensor {self.tensor}, "
            f"channel {self.channel}, pixel ({self.y}, {self.x}): "
            f"expected {self.expected}, got {self.got}, {when}"
        )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All values of all images against the golden machine.

    Parameters
    ----------
    values, mismatches : compared and different.
    divergence : the first different one, if any.
    tensor_sha256 : for each tensor, over its stored regions of all images.
    """

    values: int
    mismatches: int
    divergence: Divergence | None
    tensor_sha256: dict[str, str]


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
    digests = {tensor.name: hashlib.sha256() for tensor in tensors}
    values = mismatches = 0
    divergence = None
    for image, golden in enumerate(expected):
        dump = dumps[image * stride : (image + 1) * stride]
        for index, tensor in enumerate(tensors):
            region = tensor.region(dump)
            digests[tensor.name].update(region)
            got = tensor.decode(region)
            if got.shape != golden[index].shape:
                raise ValueError(
                    f"Golden tensor {tensor.name} must have the shape {got.shape}, "
                    f"not {golden[index].shape}"
                )
            values += got.size
            wrong = np.argwhere(got != golden[index])
            mismatches += len(wrong)
            if len(wrong) and divergence is None:
                place = min((tensor.write_back(c, y, x), c, y, x) for c, y, x in wrong.tolist())
                divergence = Divergence(
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
    return Comparison(
        values=values,
        mismatches=mismatches,
        divergence=divergence,
        tensor_sha256={name: digest.hexdigest() for name, digest in digests.items()},
    )


def _cycle(
    tensors: Sequence[DumpedTensor], image: int, index: int, place: int, write_backs: Sequence[int]
) -> int | None:
    counts = [tensor.write_backs for tensor in tensors]
    number = image * sum(counts) + sum(counts[:index]) + place
    return write_backs[number] if number < len(write_backs) else None
