# SPDX-License-Identifier: Apache-2.0
"""Instructions, memory images and metadata of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tritone.compiler.allocate import Allocation, Place
from tritone.compiler.fold import require_format
from tritone.compiler.images import image_bytes, pixel_bits
from tritone.compiler.tile import TiledLayer
from tritone.spec.fixed import BIAS, OFFSET, STREAM
from tritone.spec.isa import (
    INSTRUCTION_BEATS,
    INSTRUCTION_BITS,
    PARAMETER,
    RECORDS,
    Base,
    MemoryId,
    Opcode,
)
from tritone.spec.machine import BEAT_BYTES, MachineConfig
from tritone.spec.program import Program

__all__ = ["emit"]

Fields = Mapping[str, int]

_INSTRUCTION_BYTES = INSTRUCTION_BITS // 8


def _instruction(opcode: Opcode, *, dma: bool, layer: bool, fields: Fields) -> bytes:
    """Return an instruction that waits for transfers (``dma``) or for layers."""
    header = {"opcode": opcode, "wait_dma": dma, "wait_layer": layer, "reserved": 0}
    return RECORDS[opcode].pack({**header, **fields}).to_bytes(_INSTRUCTION_BYTES, "little")


def _parameters(tiled: TiledLayer, machine: MachineConfig) -> bytes:
    """Return the parameter words of a layer.

    Channels behind the last one get B = M = 0 and a D by which they become the output's zero, as
    far as D reaches.
    """
    layer, bias = tiled.layer, tiled.schedule.bias
    require_format(layer.name, "B", int(bias.min()), int(bias.max()), BIAS)
    records = [
        {"bias": int(b), "multiplier": int(m), "offset": int(d)}
        for b, m, d in zip(bias, layer.multiplier, layer.offset, strict=True)
    ]
    filler = min(layer.output.zero << layer.shift, OFFSET.high)
    unused = tiled.groups * machine.columns - len(records)
    records += [{"bias": 0, "multiplier": 0, "offset": filler}] * unused
    return b"".join(
        PARAMETER.pack(record).to_bytes(PARAMETER.bits // 8, "little") for record in records
    )


def _layer_fields(
    tiled: TiledLayer, source: Place, result: Place, bases: tuple[int, int, int]
) -> Fields:
    layer, steps = tiled.layer, tiled.schedule
    weight_base, parameter_base, table_base = bases
    top, left, _, _ = layer.window.pad
    _, in_height, in_width = layer.input.shape
    _, out_height, out_width = layer.output.shape
    return {
        "in_group": source.group,
        "in_base": source.base,
        "in_width": in_width,
        "in_height": in_height,
        "in_row_words": source.region.row_words,
        "in_plane_words": source.region.plane_words,
        "in_channels": source.region.channels if layer.opcode is Opcode.CONVOLVE else 1,
        "out_base": result.base,
        "out_width": out_width,
        "out_height": out_height,
        "out_row_words": result.region.row_words,
        "out_plane_words": result.region.plane_words,
        "out_channels": tiled.groups,
        "stored_width": result.region.width,
        "stored_rows": result.region.rows,
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
        "plane_words": tiled.plane_words,
        "group_words": tiled.group_words,
        "table_base": table_base,
        "pass_steps": len(steps.steps),
        "steps": steps.packed,
        "parameter_base": parameter_base,
        "shift": layer.shift,
        "low": layer.low,
        "high": layer.high,
        "wide": layer.output.wide,
        "pool_mode": layer.pool_mode,
    }


def _loads(
    start: int, contents: Sequence[tuple[MemoryId, int, bytes]]
) -> list[tuple[Fields, bytes]]:
    """Return LOAD fields and data of (memory, words, data); data lie in order from ``start``."""
    loads: list[tuple[Fields, bytes]] = []
    for memory, words, data in contents:
        if not words:
            continue
        fields = {
            "source": Base.PROGRAM,
            "offset": start,
            "memory": memory,
            "address": 0,
            "words": words,
            "beats": len(data) // BEAT_BYTES,
            "width": 0,
            "rows": 0,
            "row_words": 0,
            "pixel_bytes": 0,
        }
        loads.append((fields, data))
        start += len(data)
    return loads


def _load_image(place: Place, shape: tuple[int, int, int], machine: MachineConfig) -> Fields:
    return {
        "source": Base.IMAGE,
        "offset": 0,
        "memory": MemoryId.FEATURE_1 if place.group else MemoryId.FEATURE_0,
        "address": place.base,
        "words": 0,
        "beats": image_bytes(shape, machine) // BEAT_BYTES,
        "width": place.region.width,
        "rows": place.region.rows,
        "row_words": place.region.row_words,
        "pixel_bytes": pixel_bits(shape[0], machine),
    }


def emit(
    name: str, layers: Sequence[TiledLayer], allocation: Allocation, machine: MachineConfig
) -> Program:
    """Return the program of ``layers``: CHECK, the loads of constants, and the loop over images.

    Raises
    ------
    ValueError : a value does not fit its field, or the instructions do not fit their memory.
    """
    parameters = b"".join(_parameters(tiled, machine) for tiled in layers)
    tables = b"".join(bytes(table) for table in allocation.tables)
    weights = b"".join(tiled.weight_words.tobytes() for tiled in layers)
    contents = [
        (MemoryId.TABLE, len(allocation.tables), tables),
        (MemoryId.PARAMETER, len(parameters) * 8 // machine.parameter_word_bits, parameters),
        (MemoryId.WEIGHT, len(weights) * 8 // machine.weight_word_bits, weights),
    ]
    present = sum(1 for _, words, _ in contents if words)
    # CHECK and the loads of constants; then the image, the layers, STORE and NEXT.
    loop = 1 + present
    count = loop + 1 + len(layers) + 2
    if count * INSTRUCTION_BEATS > machine.instruction_words:
        raise ValueError(
            f"Network {name} must fit {machine.instruction_words} instruction words, "
            f"not {count * INSTRUCTION_BEATS}"
        )
    loads = _loads(count * _INSTRUCTION_BYTES, contents)
    image, output = layers[0].layer.input, layers[-1].layer.output
    result = allocation.places[output.name]
    result_bytes = result.region.rows * result.region.width * machine.rows * STREAM.bits // 8
    # Every LOAD waits for the one before it, the first layer for the image, STORE for the last
    # layer.
    code = [
        _instruction(
            Opcode.CHECK, dma=False, layer=False, fields={"fingerprint": machine.fingerprint}
        )
    ]
    for fields, _ in loads:
        code.append(_instruction(Opcode.LOAD, dma=True, layer=False, fields=fields))
    fields = _load_image(allocation.places[image.name], image.shape, machine)
    code.append(_instruction(Opcode.LOAD, dma=True, layer=True, fields=fields))
    tensors = []
    for index, tiled in enumerate(layers):
        layer = tiled.layer
        bases = (
            allocation.weight_bases[index],
            allocation.parameter_bases[index],
            allocation.table_bases[index],
        )
        places = allocation.places[layer.input.name], allocation.places[layer.output.name]
        try:
            word = _instruction(
                layer.opcode,
                dma=index == 0,
                layer=True,
                fields=_layer_fields(tiled, *places, bases),
            )
        except ValueError as error:
            raise ValueError(f"Layer {layer.name} must fit its instruction: {error}") from error
        tensors.append(
            {
                "name": layer.output.name,
                "layer": layer.name,
                "instruction": len(code),
                "shape": list(layer.output.shape),
                "wide": layer.output.wide,
                "bytes": tiled.output.rows * tiled.output.width * machine.rows,
                "macs": layer.macs,
            }
        )
        code.append(word)
    store = {
        "target": Base.RESULT,
        "offset": 0,
        "group": result.group,
        "base": result.base,
        "width": result.region.width,
        "rows": result.region.rows,
        "row_words": result.region.row_words,
    }
    code.append(_instruction(Opcode.STORE, dma=True, layer=True, fields=store))
    size = image_bytes(image.shape, machine)
    after = {"target": loop, "image_bytes": size, "result_bytes": result_bytes}
    code.append(_instruction(Opcode.NEXT, dma=True, layer=True, fields=after))
    assert len(code) == count
    return Program(
        machine=machine,
        instructions=count,
        payload=b"".join(code) + b"".join(data for _, data in loads),
        metadata={
            "network": name,
            "image": {"shape": list(image.shape), "bytes": size},
            "result": {"shape": list(output.shape), "bytes": result_bytes},
            "tensors": tensors,
        },
    )
