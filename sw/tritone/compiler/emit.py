# SPDX-License-Identifier: Apache-2.0
"""Instructions and metadata of a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tritone.compiler.allocate import Allocation
from tritone.compiler.feed import Feed, feed_constants
from tritone.compiler.gather import Windows
from tritone.compiler.images import image_bytes, pixel_bits
from tritone.compiler.instructions import Fields, View, load_pixels, load_windows, store_rows
from tritone.compiler.layer_run import Item, LayerRun
from tritone.compiler.outside import Outside
from tritone.compiler.place import Place
from tritone.compiler.tile import TiledLayer
from tritone.compiler.waits import find_waits
from tritone.graph import Tensor
from tritone.spec.fixed import STREAM
from tritone.spec.isa import INSTRUCTION_BEATS, INSTRUCTION_BITS, RECORDS, Base, MemoryId, Opcode
from tritone.spec.machine import MachineConfig
from tritone.spec.program import Program

__all__ = ["emit"]

_INSTRUCTION_BYTES = INSTRUCTION_BITS // 8


def _load_image(
    place: Place, image: Tensor, windows: Windows | None, machine: MachineConfig
) -> Fields:
    """Return the fields of a LOAD of the image, or of its windows, into ``place``."""
    channels, height, width = image.shape
    bits = pixel_bits(channels, machine)
    tensor = Outside(base=Base.IMAGE, offset=0, height=height, width=width, pixel_bits=bits)
    rows = range(-(-channels // machine.rows) * height)
    if windows is None:
        return load_pixels(tensor, 0, rows, View.of(place))
    return load_windows(tensor, rows, (windows.pad_top, windows.down), windows, View.of(place))


def _store_result(place: Place, machine: MachineConfig) -> Fields:
    """Return the fields of the STORE of the result."""
    region = place.region
    tensor = Outside(
        base=Base.RESULT,
        offset=0,
        height=region.height,
        width=region.width,
        pixel_bits=machine.rows.bit_length() - 1,
    )
    return store_rows(View.of(place), region.rows, tensor, 0, 0)


def _order(tiled: TiledLayer, orders: Mapping[str, Sequence[int]]) -> list[int] | None:
    """Return which channel of the network stands at each place of an output, if not its own."""
    output = tiled.layer.output
    plain = list(range(output.shape[0]))
    order = list(orders.get(output.name, plain))
    return None if order == plain else order


class _Emission:
    """The instructions of a program, offsets of constants counting from these.

    Parameters
    ----------
    layers, allocation, windows, machine : what is run, and where.
    feeds : how the memories of constants are filled.
    """

    def __init__(
        self,
        layers: Sequence[TiledLayer],
        allocation: Allocation,
        windows: Windows | None,
        machine: MachineConfig,
        feeds: Sequence[Feed],
    ) -> None:
        self._layers, self._allocation = layers, allocation
        self._windows, self._machine = windows, machine
        self._feeds = feeds
        self._image = windows.image if windows else layers[0].layer.input
        self._output = layers[-1].layer.output
        region = layers[-1].output
        self.image_bytes = image_bytes(self._image.shape, machine)
        self.result_bytes = region.rows * region.width * machine.rows * STREAM.bits // 8

    def items(self) -> list[Item]:
        """Return the program: CHECK, the loads before the loop, and a body for each image place."""
        features = self._allocation.features
        code = [Item(Opcode.CHECK, {"fingerprint": self._machine.fingerprint})]
        for feed in self._feeds:
            code += [Item(Opcode.LOAD, fields) for fields in feed.before]
        bodies = len(features.images) or 1
        images = [
            _load_image(place, self._image, self._windows, self._machine)
            for place in features.images
        ]
        if bodies > 1:
            code.append(Item(Opcode.LOAD, images[0]))
        loop = len(code)
        body: list[Item] = []
        for number in range(bodies):
            body = list(self._body(number, images))
            # All bodies are equally long.
            target = loop + (number + 1) % bodies * (len(body) + 1)
            after = {"target": target, "image_bytes": self.image_bytes}
            after["result_bytes"] = self.result_bytes
            code += [*body, Item(Opcode.NEXT, after)]
        return code

    def _body(self, number: int, images: Sequence[Fields]) -> Iterator[Item]:
        """Yield what an image in place ``number`` takes, all but NEXT."""
        features = self._allocation.features
        places = dict(features.places)
        if features.images:
            places[self._layers[0].layer.input.name] = features.images[number]
        if features.results:
            places[self._output.name] = features.results[number]
        behind_first, behind_last = self._constants()
        if len(images) == 1:
            yield Item(Opcode.LOAD, images[0])
        elif images:
            following = images[(number + 1) % len(images)]
            fetch = {**following, "source": Base.NEXT_IMAGE, "offset": self.image_bytes}
            behind_first.setdefault(0, []).append(Item(Opcode.LOAD, fetch))
        for index, tiled in enumerate(self._layers):
            windows = self._windows if index == 0 else None
            run = LayerRun(index, tiled, self._allocation, places, windows, self._machine)
            yield from run.items(behind_first, behind_last)
        if features.results:
            yield Item(Opcode.STORE, _store_result(features.results[number], self._machine))

    def _constants(self) -> tuple[dict[int, list[Item]], dict[int, list[Item]]]:
        """Return the loads of constants behind the first and behind the last part of each slice."""
        behind: tuple[dict[int, list[Item]], dict[int, list[Item]]] = ({}, {})
        for index in range(len(self._allocation.constants.slices)):
            for feed in self._feeds:
                for fields, shared in feed.behind(index):
                    behind[shared].setdefault(index, []).append(Item(Opcode.LOAD, fields))
        return behind


def _move(item: Item, constants: int, tensors: int) -> Item:
    """Return the instruction with its offset behind those of the program.

    Parameters
    ----------
    constants, tensors : where what is behind the instructions begins.
    """
    fields = item.fields
    match item.opcode:
        case Opcode.LOAD if fields["source"] == Base.PROGRAM:
            pixels = fields["memory"] in (MemoryId.FEATURE_0, MemoryId.FEATURE_1)
            start = tensors if pixels else constants
        case Opcode.STORE if fields["target"] == Base.PROGRAM:
            start = tensors
        case _:
            return item
    return replace(item, fields={**fields, "offset": start + fields["offset"]})


def _pack(item: Item, waits: Fields, layers: Sequence[TiledLayer]) -> bytes:
    """Return the instruction of 64 bytes."""
    header = {"opcode": item.opcode, "reserved": 0, **waits}
    try:
        word = RECORDS[item.opcode].pack({**header, **item.fields})
    except ValueError as error:
        if item.part is None:
            raise
        name = layers[item.part.layer].layer.name
        raise ValueError(f"Layer {name} must fit its instruction: {error}") from error
    return word.to_bytes(_INSTRUCTION_BYTES, "little")


def _entries(
    layers: Sequence[TiledLayer],
    code: Sequence[Item],
    orders: Mapping[str, Sequence[int]],
    machine: MachineConfig,
) -> list[dict[str, Any]]:
    """Return the metadata of the tensors; their instructions are those of the first body."""
    loop = next(item.fields["target"] for item in reversed(code) if item.opcode is Opcode.NEXT)
    end = next(index for index, item in enumerate(code) if item.opcode is Opcode.NEXT)
    parts: list[list[list[int]]] = [[] for _ in layers]
    for index in range(loop, end):
        if (part := code[index].part) is not None:
            parts[part.layer].append([index, part.word, part.row])
    return [
        {
            "name": tiled.layer.output.name,
            "layer": tiled.layer.name,
            "instructions": [index for index, _, _ in own],
            "parts": [[word, row] for _, word, row in own],
            "shape": list(tiled.layer.output.shape),
            "order": _order(tiled, orders),
            "wide": tiled.layer.output.wide,
            "bytes": tiled.output.rows * tiled.output.width * machine.rows,
            "macs": tiled.layer.macs,
        }
        for own, tiled in zip(parts, layers, strict=True)
    ]


def emit(
    name: str,
    layers: Sequence[TiledLayer],
    allocation: Allocation,
    machine: MachineConfig,
    windows: Windows | None = None,
    orders: Mapping[str, Sequence[int]] | None = None,
) -> Program:
    """Return the program of ``layers``: CHECK, the loads of constants, and the loop over images.

    With one place for the image, or none, the loop is LOAD, the layers, STORE and NEXT. With two
    the first image is loaded before the loop, which has a body for each place: the first layer, the
    LOAD of the next image into the other place, the other layers, STORE and NEXT. The result is
    stored beside the layers of the next image. Constants of which only a part is on the chip are
    loaded behind the layers that make room for them; the next image's first ones before STORE.
    Tensors outside are loaded and stored around the stripes of their layers. The payload ends with
    the bytes that these take.

    Raises
    ------
    ValueError : a value does not fit its field, or the instructions do not fit their memory.
    """
    feeds, data = feed_constants(layers, allocation.constants, machine)
    emission = _Emission(layers, allocation, windows, machine, feeds)
    code = emission.items()
    if len(code) * INSTRUCTION_BEATS > machine.instruction_words:
        raise ValueError(
            f"Network {name} must fit {machine.instruction_words} instruction words, "
            f"not {len(code) * INSTRUCTION_BEATS}"
        )
    start = len(code) * _INSTRUCTION_BYTES
    moved = [_move(item, start, start + len(data)) for item in code]
    waits = find_waits([(item.opcode, item.fields) for item in moved], machine)
    packed = [_pack(item, flags, layers) for item, flags in zip(moved, waits, strict=True)]
    image = windows.image if windows else layers[0].layer.input
    return Program(
        machine=machine,
        instructions=len(code),
        payload=b"".join(packed) + data + bytes(allocation.features.work_bytes),
        metadata={
            "network": name,
            "image": {"shape": list(image.shape), "bytes": emission.image_bytes},
            "result": {
                "shape": list(layers[-1].layer.output.shape),
                "bytes": emission.result_bytes,
            },
            "tensors": _entries(layers, code, orders or {}, machine),
        },
    )
