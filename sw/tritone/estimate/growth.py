# SPDX-License-Identifier: Apache-2.0
"""What the cells of each module grow with: the terms of which a machine's sites and flip-flops are
weighted sums. The weights are fitted; here stands only what the gateware repeats, and how often.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tritone.spec.machine import BEAT_BITS, MachineConfig, RequantizerKind
from tritone.spec.timing import array_latency, reader_latency, requantizer_latency

__all__ = ["GROWTH", "Terms"]

# Numbers by the name of what they count. Terms of kinds of machines have names of their own, so
# that each kind has weights of its own.
Terms = Mapping[str, float]

# Columns that share a register of activations.
_BRANCH_COLUMNS = 4
# Beats of a weight word that share registers.
_SLICE_BEATS = 4


def _outputs(machine: MachineConfig) -> int:
    return machine.columns * machine.pixels


def _inputs(machine: MachineConfig) -> int:
    return machine.rows * machine.pixels


def _rail_bits(machine: MachineConfig) -> int:
    return machine.even_bits + machine.odd_bits


def _drain_bits(machine: MachineConfig) -> int:
    """Return what varies in what travels with a drain: addresses and a bit for each pixel."""
    return machine.parameter_address_bits + 2 * machine.feature_address_bits + machine.pixels


def _array(machine: MachineConfig) -> Terms:
    outputs, kind = _outputs(machine), machine.array.value
    branches = -(-machine.columns // _BRANCH_COLUMNS)
    return {
        "1": 1,
        "inputs": _inputs(machine),
        "branches": branches * _inputs(machine),
        f"{kind} weights": machine.rows * machine.columns,
        f"{kind} macs": machine.macs_per_cycle,
        f"{kind} levels": outputs * machine.tree_levels,
        f"{kind} outputs": outputs,
        "accumulators": outputs * _rail_bits(machine),
    }


def _reader(machine: MachineConfig) -> Terms:
    inputs, adaptive = _inputs(machine), int(machine.adaptive)
    return {
        "1": 1,
        "pixels": machine.pixels,
        "addresses": machine.pixels * machine.feature_address_bits,
        "inputs": inputs,
        "choices": inputs * machine.banks,
        "choice bits": inputs * machine.banks.bit_length(),
        "adaptive": adaptive,
        "adaptive pixels": adaptive * machine.pixels,
        "adaptive inputs": adaptive * inputs,
    }


def _feature_memory(machine: MachineConfig) -> Terms:
    inputs, parted = _inputs(machine), int(machine.word_columns > 1)
    return {
        "1": 1,
        "rows": machine.rows,
        "choices": machine.rows * machine.banks.bit_length(),
        "pixels": machine.pixels,
        "addresses": machine.pixels * machine.feature_address_bits,
        "inputs": inputs,
        "parted": parted,
        "parts": machine.pixels * machine.word_columns,
        "parted pixels": parted * machine.pixels,
        "parted inputs": parted * inputs,
        "parted addresses": parted * machine.pixels * machine.feature_address_bits,
    }


def _weight_memory(machine: MachineConfig) -> Terms:
    beats = machine.weight_word_bits // BEAT_BITS
    if machine.packing:
        return {"packed": 1, "packed beats": beats}
    slices = -(-beats // _SLICE_BEATS)
    return {
        "1": 1,
        "beats": beats,
        "slices": slices,
        "addresses": slices * machine.weight_address_bits,
        "places": slices * (beats - 1).bit_length(),
    }


def _parameter_memory(machine: MachineConfig) -> Terms:
    return {"1": 1, "channels": machine.slot_channels}


def _terms_memory(machine: MachineConfig) -> Terms:
    return {"1": 1} if machine.packing else {}


def _code_unpacker(machine: MachineConfig) -> Terms:
    if not machine.packing:
        return {}
    return {"1": 1, "weights": machine.rows * machine.columns}


def _requantizer(machine: MachineConfig) -> Terms:
    outputs, lanes, channels = _outputs(machine), machine.lanes, machine.slot_channels
    kind, adaptive = machine.requantizer.value, int(machine.adaptive)
    half = int(machine.requantizer is RequantizerKind.HALF_OCTAVE)
    rails = _rail_bits(machine)
    # Memories of 16 words.
    sums = lanes * -(-machine.requantizer_slots // 16)
    odd = int(machine.array.odd_rail)
    return {
        f"{kind} 1": 1,
        f"{kind} lanes": lanes,
        f"{kind} channels": channels,
        f"{kind} even lanes": lanes * machine.even_bits,
        f"{kind} odd lanes": lanes * odd,
        "sums": sums,
        "outputs": outputs,
        "rails": outputs * rails,
        "slots": machine.requantizer_slots,
        "tags": requantizer_latency(machine) * _drain_bits(machine),
        "choices": lanes * machine.requantizer_slots.bit_length(),
        "adaptive": adaptive,
        "adaptive channels": adaptive * channels,
        "half outputs": half * outputs,
    }


def _pool(machine: MachineConfig) -> Terms:
    outputs, parted = _outputs(machine), int(machine.word_columns > 1)
    return {
        "1": 1,
        "outputs": outputs,
        "sums": outputs * machine.even_bits,
        "parted": parted * outputs,
        "choices": outputs * (machine.word_columns - 1),
    }


def _shortcut_reader(machine: MachineConfig) -> Terms:
    outputs, parted = _outputs(machine), int(machine.word_columns > 1)
    return {
        "1": 1,
        "addresses": machine.feature_address_bits,
        "outputs": outputs,
        "rows": machine.rows,
        "inputs": _inputs(machine),
        "parted": parted * outputs,
    }


def _write_back(machine: MachineConfig) -> Terms:
    return {
        "1": 1,
        "addresses": machine.feature_address_bits,
        "outputs": _outputs(machine),
        "pixels": machine.pixels,
        "parts": machine.word_columns,
    }


def _step_generator(machine: MachineConfig) -> Terms:
    packing, parted = int(machine.packing), int(machine.word_columns > 1)
    return {
        "1": 1,
        "feature addresses": machine.feature_address_bits,
        "weight addresses": machine.weight_address_bits,
        "parameter addresses": machine.parameter_address_bits,
        "pixels": machine.pixels,
        "pixel bits": machine.banks.bit_length(),
        "slots": machine.requantizer_slots.bit_length(),
        "parts": machine.word_columns.bit_length(),
        "parted": parted,
        "packing": packing,
        "packed addresses": packing * machine.weight_address_bits,
    }


def _engine(machine: MachineConfig) -> Terms:
    drain = _drain_bits(machine)
    adaptive, packing = int(machine.adaptive), int(machine.packing)
    return {
        "1": 1,
        "drains": array_latency(machine) * drain,
        "steps": reader_latency(machine) * drain,
        "latency": array_latency(machine),
        "drain": drain,
        "weight addresses": machine.weight_address_bits,
        "parts": machine.word_columns.bit_length(),
        "adaptive": adaptive,
        "packing": packing,
        "packed addresses": packing * machine.weight_address_bits,
        "half": int(machine.requantizer is RequantizerKind.HALF_OCTAVE),
        "pooled": 0 if machine.array.odd_rail else _outputs(machine),
        "sums": _outputs(machine) * machine.even_bits,
    }


def _sequencer(machine: MachineConfig) -> Terms:
    return {"1": 1, "addresses": (machine.instruction_words - 1).bit_length()}


def _dma(machine: MachineConfig) -> Terms:
    lines = machine.gather_width
    return {
        "1": 1,
        "feature addresses": machine.feature_address_bits,
        "rows": machine.rows,
        "row bits": machine.rows.bit_length(),
        "pixel bits": machine.banks.bit_length(),
        # Narrow lines lie in lookup tables, 16 words each.
        "lines": -(-lines // 16) if lines <= 32 else 0,
    }


def _alike(machine: MachineConfig) -> Terms:
    return {"1": 1}


# By path within the accelerator. A module without terms is not there.
GROWTH: Mapping[str, Callable[[MachineConfig], Terms]] = {
    "engine.array": _array,
    "engine.activation_reader": _reader,
    "engine.feature_memory": _feature_memory,
    "engine.weight_memory": _weight_memory,
    "engine.parameter_memory": _parameter_memory,
    "engine.terms_memory": _terms_memory,
    "engine.code_unpacker": _code_unpacker,
    "engine.requantizer": _requantizer,
    "engine.pool": _pool,
    "engine.shortcut_reader": _shortcut_reader,
    "engine.write_back": _write_back,
    "engine.step_generator": _step_generator,
    "engine": _engine,
    "sequencer": _sequencer,
    "dma": _dma,
    "registers": _alike,
}
