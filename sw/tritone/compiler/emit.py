# SPDX-License-Identifier: Apache-2.0
"""Instructions and metadata of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tritone.compiler.allocate import Allocation, Place
from tritone.compiler.constants import Slice
from tritone.compiler.feed import NO_WINDOWS, feed_constants
from tritone.compiler.gather import Windows
from tritone.compiler.images import image_bytes, pixel_bits
from tritone.compiler.parameters import shortcut_places
from tritone.compiler.tile import TiledLayer
from tritone.graph import Tensor
from tritone.spec.fixed import STREAM
from tritone.spec.isa import (
    INSTRUCTION_BEATS,
    INSTRUCTION_BITS,
    RECORDS,
    WINDOW_KERNEL,
    Base,
    MemoryId,
    Opcode,
)
from tritone.spec.machine import BEAT_BYTES, MachineConfig
from tritone.spec.program import Program

__all__ = ["emit"]

Fields = Mapping[str, int]

_INSTRUCTION_BYTES = INSTRUCTION_BITS // 8


def _instruction(
    opcode: Opcode,
    fields: Fields,
    *,
    load: bool = False,
    layer: bool = False,
    store: bool = False,
) -> bytes:
    """Return an instruction that waits for a load, a layer or a store."""
    header = {
        "opcode": opcode,
        "wait_load": load,
        "wait_layer": layer,
        "wait_store": store,
        "reserved": 0,
    }
    return RECORDS[opcode].pack({**header, **fields}).to_bytes(_INSTRUCTION_BYTES, "little")


def _shortcut_fields(tiled: TiledLayer, part: Slice, word: int, place: Place | None) -> Fields:
    """Return the fields of a slice that say what it adds, from ``word`` of ``place`` on."""
    added, octaves = tiled.layer.shortcut, tiled.layer.octaves
    groups = min(max(tiled.shortcut_groups - part.first, 0), part.groups)
    fields = {"shortcut_groups": groups}
    if added is None or place is None or not groups:
        names = "base row_words plane_words stride zero multiplier shift"
        return fields | {f"shortcut_{name}": 0 for name in names.split()}
    return fields | {
        "shortcut_base": place.base + word * place.region.plane_words,
        "shortcut_row_words": place.region.row_words,
        "shortcut_plane_words": place.region.plane_words,
        "shortcut_stride": added.stride - 1,
        "shortcut_zero": added.tensor.zero,
        "shortcut_multiplier": added.multiplier if octaves is None else 0,
        "shortcut_shift": added.shift if octaves is None else shortcut_places(tiled)[0],
    }


def _beta_fields(tiled: TiledLayer, registers: Mapping[str, int]) -> dict[str, int]:
    """Return the fields of a layer that say what it has to do with an adaptive step."""
    layer = tiled.layer
    beta = layer.gain.tensor if layer.gain else layer.output.name
    return {"adaptation": layer.adaptation, "beta_register": registers.get(beta, 0)}


def _layer_fields(
    tiled: TiledLayer,
    part: Slice,
    source: Place,
    result: Place,
    added: Place | None,
    weights: tuple[int, int],
    parameter_base: int,
    machine: MachineConfig,
) -> dict[str, int]:
    """Return the fields of the instruction that computes the output groups of ``part``."""
    layer, steps = tiled.layer, tiled.schedule
    word = part.first // machine.word_columns
    weight_base, plane_words = weights
    top, left, _, _ = layer.window.pad
    _, in_height, in_width = layer.input.shape
    _, out_height, out_width = layer.output.shape
    return {
        "in_group": source.group,
        "out_group": result.group,
        "in_base": source.base + tiled.reach.first(part.first) * source.region.plane_words,
        "in_width": in_width,
        "in_height": in_height,
        "in_row_words": source.region.row_words,
        "in_plane_words": source.region.plane_words,
        "in_channels": tiled.reach.words,
        "in_turn": tiled.reach.turn,
        "out_base": result.base + word * result.region.plane_words,
        "out_width": out_width,
        "out_height": out_height,
        "out_row_words": result.region.row_words,
        "out_plane_words": result.region.plane_words,
        "out_channels": part.groups,
        "stored_rows": -(-part.groups // machine.word_columns) * result.region.height,
        "kernel_height": layer.window.kernel[0],
        "kernel_width": layer.window.kernel[1],
        "stride": layer.window.stride,
        "pad_top": top,
        "pad_left": left,
        "read_shift": layer.read_shift,
        "read_zero": layer.input.zero,
        "read_offset": layer.read_zero,
        "read_max": (1 << layer.bits) - 1,
        "pad_code": layer.pad_code,
        "weight_base": weight_base,
        "plane_words": plane_words,
        "group_words": tiled.group_words,
        "pass_steps": len(steps.steps),
        "steps": steps.packed,
        "parameter_base": parameter_base,
        "shift": layer.shift if layer.octaves is None else shortcut_places(tiled)[1],
        "low": layer.low,
        "high": layer.high,
        "wide": layer.output.wide,
        "pool_mode": layer.pool_mode,
        **_shortcut_fields(tiled, part, word, added),
    }


def _load_image(
    place: Place, image: Tensor, windows: Windows | None, machine: MachineConfig
) -> Fields:
    """Return the fields of a LOAD of the image, or of its windows, into ``place``."""
    channels, height, width = image.shape
    fields = {
        "source": Base.IMAGE,
        "offset": 0,
        "memory": MemoryId.FEATURE_1 if place.group else MemoryId.FEATURE_0,
        "address": place.base,
        "words": 0,
        "beats": image_bytes(image.shape, machine) // BEAT_BYTES,
        "width": width,
        "rows": -(-channels // machine.rows) * height,
        "row_words": place.region.row_words,
        "pixel_bytes": pixel_bits(channels, machine),
        "table": 0,
    }
    if windows is None:
        return fields | NO_WINDOWS
    return fields | {
        "kernel": WINDOW_KERNEL,
        "channels": channels,
        "stride": windows.stride,
        "pad_top": windows.pad_top,
        "pad_left": windows.pad_left,
        "pad_code": windows.pad_code,
        "across": windows.across,
        "down": windows.down,
        "plane_words": place.region.plane_words,
    }


def _store(place: Place) -> Fields:
    """Return the fields of the STORE of the result."""
    return {
        "target": Base.RESULT,
        "offset": 0,
        "group": place.group,
        "base": place.base,
        "width": place.region.width,
        "rows": place.region.rows,
        "row_words": place.region.row_words,
    }


def _overlap(one: Place, other: Place) -> bool:
    """Return whether two places share words."""
    return (
        one.group == other.group
        and one.base < other.base + other.region.words
        and other.base < one.base + one.region.words
    )


def _layer(
    tiled: TiledLayer,
    part: int,
    allocation: Allocation,
    places: Mapping[str, Place],
    before: Place,
    machine: MachineConfig,
    *,
    load: bool,
) -> bytes:
    """Return the instruction of a slice of a layer whose tensors lie in ``places``.

    The result of the image before may still be on its way to external memory: a layer that writes
    over it, ``before``, waits for that.
    """
    layer, constants = tiled.layer, allocation.constants
    place = places[layer.output.name]
    added = places[layer.shortcut.tensor.name] if layer.shortcut else None
    weights = constants.weight_bases[part], constants.plane_words[part]
    try:
        return _instruction(
            layer.opcode,
            _layer_fields(
                tiled,
                constants.slices[part],
                places[layer.input.name],
                place,
                added,
                weights,
                constants.parameter_bases[part],
                machine,
            )
            | _beta_fields(tiled, allocation.beta_registers),
            load=load,
            layer=True,
            store=_overlap(place, before),
        )
    except ValueError as error:
        raise ValueError(f"Layer {layer.name} must fit its instruction: {error}") from error


def _order(tiled: TiledLayer, orders: Mapping[str, Sequence[int]]) -> list[int] | None:
    """Return which channel of the network stands at each place of an output, if not its own."""
    output = tiled.layer.output
    plain = list(range(output.shape[0]))
    order = list(orders.get(output.name, plain))
    return None if order == plain else order


def emit(
    name: str,
    layers: Sequence[TiledLayer],
    allocation: Allocation,
    machine: MachineConfig,
    windows: Windows | None = None,
    orders: Mapping[str, Sequence[int]] | None = None,
) -> Program:
    """Return the program of ``layers``: CHECK, the loads of constants, and the loop over images.

    With one place for the image the loop is LOAD, the layers, STORE and NEXT. With two the first
    image is loaded before the loop, which has a body for each place: the first layer, the LOAD of
    the next image into the other place, the other layers, STORE and NEXT. The result is stored
    beside the layers of the next image. Constants of which only a part is on the chip are loaded
    behind the layers that make room for them; the next image's first ones before STORE.

    Raises
    ------
    ValueError : a value does not fit its field, or the instructions do not fit their memory.
    """
    feeds, data = feed_constants(layers, allocation.constants, machine)
    slices, bodies = allocation.constants.slices, len(allocation.images)
    first_loads = [fields for feed in feeds for fields in feed.loads[0]]
    # CHECK and the first loads of constants; a first image; in each body LOAD, the layers and
    # the loads between them, STORE, NEXT.
    loop = 1 + len(first_loads) + (bodies - 1)
    body = len(slices) + sum(feed.loads_of_an_image for feed in feeds) + 3
    count = loop + bodies * body
    if count * INSTRUCTION_BEATS > machine.instruction_words:
        raise ValueError(
            f"Network {name} must fit {machine.instruction_words} instruction words, "
            f"not {count * INSTRUCTION_BEATS}"
        )
    image = windows.image if windows else layers[0].layer.input
    output = layers[-1].layer.output
    size, region = image_bytes(image.shape, machine), allocation.results[0].region
    result_bytes = region.rows * region.width * machine.rows * STREAM.bits // 8
    start = count * _INSTRUCTION_BYTES

    def load_constants(fields: Fields, *, layer: bool = False) -> bytes:
        moved = {**fields, "offset": start + fields["offset"]}
        return _instruction(Opcode.LOAD, moved, layer=layer)

    code = [_instruction(Opcode.CHECK, {"fingerprint": machine.fingerprint})]
    code += [load_constants(fields) for fields in first_loads]
    images = [_load_image(place, image, windows, machine) for place in allocation.images]
    if bodies > 1:
        code.append(_instruction(Opcode.LOAD, images[0]))
    assert len(code) == loop
    # The instructions of each layer in the first body.
    parts: list[list[int]] = [[] for _ in layers]
    for number, place in enumerate(allocation.images):
        following = (number + 1) % bodies
        result, before = allocation.results[number], allocation.results[number - 1]
        places = {**allocation.places, image.name: place, output.name: result}
        if bodies == 1:
            # All of memory may be in use by the image before.
            code.append(_instruction(Opcode.LOAD, images[0], layer=True, store=True))
        for index, part in enumerate(slices):
            if number == 0:
                parts[part.layer].append(len(code))
            load = index == 0 or any(feed.begins(index) for feed in feeds)
            tiled = layers[part.layer]
            code.append(_layer(tiled, index, allocation, places, before, machine, load=load))
            for feed in feeds:
                code += [load_constants(fields, layer=wait) for fields, wait in feed.behind(index)]
            if index == 0 and bodies > 1:
                fetch = {**images[following], "source": Base.NEXT_IMAGE, "offset": size}
                code.append(_instruction(Opcode.LOAD, fetch))
        code.append(_instruction(Opcode.STORE, _store(result), layer=True))
        after = {"target": loop + following * body, "image_bytes": size}
        after["result_bytes"] = result_bytes
        code.append(_instruction(Opcode.NEXT, after))
    assert len(code) == count
    tensors = [
        {
            "name": tiled.layer.output.name,
            "layer": tiled.layer.name,
            "instructions": own,
            "shape": list(tiled.layer.output.shape),
            "order": _order(tiled, orders or {}),
            "wide": tiled.layer.output.wide,
            "bytes": tiled.output.rows * tiled.output.width * machine.rows,
            "macs": tiled.layer.macs,
        }
        for own, tiled in zip(parts, layers, strict=True)
    ]
    return Program(
        machine=machine,
        instructions=count,
        payload=b"".join(code) + data,
        metadata={
            "network": name,
            "image": {"shape": list(image.shape), "bytes": size},
            "result": {"shape": list(output.shape), "bytes": result_bytes},
            "tensors": tensors,
        },
    )
