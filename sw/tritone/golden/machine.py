# SPDX-License-Identifier: Apache-2.0
"""A program executed from its bytes: memories, raw accumulators, partial sums, requantisation.

Nothing is taken from the network that was compiled; the metadata gives names and shapes to the
results only. A wrong bias, table, address or pad code in the bytes shows in the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from tritone.golden.arithmetic import Integers, clamp, multiply_add, round_shift, wrap
from tritone.golden.dump import Bytes, join_parts, unpack_dump
from tritone.golden.instruction import Fields, decode, pass_steps
from tritone.golden.memory import BetaRegisters, FeatureMemory, read_parameters, read_words
from tritone.golden.rails import Operand, decode_operand
from tritone.spec.fixed import (
    BETA,
    GAIN_FRACTION,
    NIBBLE_BITS,
    SQRT2_FRACTION,
    SQRT2_NUMERATOR,
    STREAM,
    VALUE,
)
from tritone.spec.isa import (
    INSTRUCTION_BEATS,
    TERM_WORDS,
    Adaptation,
    Base,
    MemoryId,
    Opcode,
    PoolMode,
    parameter_record,
)
from tritone.spec.machine import BEAT_BYTES, RequantizerKind
from tritone.spec.pass_plan import TABLE_ENTRIES
from tritone.spec.program import Program

__all__ = ["Execution", "GoldenMachine"]

_NIBBLE = (1 << NIBBLE_BITS) - 1
# PASS_STEP.shift counts nibbles.
_SHIFT_UNIT = NIBBLE_BITS


@dataclass(frozen=True)
class Execution:
    """What one image leaves in external memory.

    Parameters
    ----------
    dumps : the stored region of each tensor in the order of execution, as with Control.DUMP.
    result : what STORE wrote behind the result address.
    """

    dumps: tuple[bytes, ...]
    result: bytes


class GoldenMachine:
    """The machine with a program in it.

    Memories keep their content from image to image as those of the hardware do; they begin as
    zeros.

    Parameters
    ----------
    program : the program and the machine it is for.
    """

    def __init__(self, program: Program) -> None:
        machine = program.machine
        self._machine = machine
        self._program = program
        self._words = program.instruction_words()
        # As it lies in external memory, where STORE writes tensors that the chip has no room for.
        self._payload = bytearray(program.payload)
        beats = INSTRUCTION_BEATS * program.instructions
        if beats > machine.instruction_words:
            raise ValueError(
                f"Program must fit {machine.instruction_words} instruction words, not {beats}"
            )
        self._features = FeatureMemory(machine)
        shape = (machine.weight_words, machine.columns, machine.rows)
        self._weights: Bytes = np.zeros(shape, np.uint8)  # a nibble an element
        channels = machine.parameter_words, machine.slot_channels
        self._record = parameter_record(machine)
        self._parameters = {
            field.name: np.zeros(channels, np.int64) for field in self._record.fields
        }
        # A TERMS record a word.
        self._terms: npt.NDArray[np.uint64] = np.zeros(TERM_WORDS, np.uint64)
        self._betas = BetaRegisters()
        self._operands: dict[tuple[int, int], Operand] = {}
        self._next = 0

    def run(self, image: bytes, following: bytes | None = None) -> list[npt.NDArray[np.int16]]:
        """Return the outputs [C, H, W] of the layers, one for each of the program's tensors."""
        return [
            unpack_dump(dump, entry["shape"], entry["wide"], self._machine.rows, entry["order"])
            for dump, entry in zip(
                self.execute(image, following).dumps,
                self._program.metadata["tensors"],
                strict=True,
            )
        ]

    def execute(self, image: bytes, following: bytes | None = None) -> Execution:
        """Run from where the last image ended up to NEXT.

        Parameters
        ----------
        image : the image; the ``following`` one of the call before, if that had one.
        following : the image behind it; None ends the run, and the next call begins a new one.

        Raises
        ------
        ValueError : an illegal instruction, a program for another machine, an address or an
            accumulator out of range.
        """
        size = self._program.metadata["image"]["bytes"]
        for each in (image, following):
            if each is not None and len(each) != size:
                raise ValueError(f"Image must be {size} bytes long, not {len(each)}")
        dumps: list[bytes] = []
        result = bytearray()
        while True:
            if self._next >= len(self._words):
                raise ValueError("Program must loop with NEXT before its instructions end")
            index, self._next = self._next, self._next + 1
            opcode, fields = decode(index, self._words[index], self._machine)
            match opcode:
                case Opcode.CHECK:
                    self._check(fields)
                case Opcode.LOAD:
                    self._load(fields, image, following)
                case Opcode.STORE:
                    self._store(fields, result)
                case Opcode.CONVOLVE | Opcode.POOL:
                    convolve = opcode is Opcode.CONVOLVE
                    y = self._convolve(fields, index) if convolve else self._pool(fields)
                    dumps.append(self._write_back(fields, y))
                    if fields["adaptation"] == Adaptation.BETA:
                        # Channel 0 of its group at the first pixel of the last tile.
                        rest = (fields["out_width"] - 1) % self._machine.pixels
                        beta = int(y[-1 - rest, -self._machine.columns])
                        self._betas.keep(fields["beta_register"], beta)
                case Opcode.NEXT:
                    self._next = fields["target"] if following is not None else 0
                    return Execution(self._by_tensor(dumps), bytes(result))

    def _by_tensor(self, dumps: Sequence[bytes]) -> tuple[bytes, ...]:
        """Return the stored regions of the tensors, each made by one or more instructions."""
        entries = self._program.metadata["tensors"]
        counts = [len(entry["instructions"]) for entry in entries]
        if sum(counts) != len(dumps):
            raise ValueError(f"Program must run {sum(counts)} layers, not {len(dumps)}")
        rest = iter(dumps)
        return tuple(
            join_parts(
                list(islice(rest, count)),
                entry["parts"],
                entry["shape"],
                entry["wide"],
                self._machine.rows,
            )
            for count, entry in zip(counts, entries, strict=True)
        )

    def _check(self, fields: Fields) -> None:
        expected = self._machine.fingerprint
        if fields["fingerprint"] != expected:
            raise ValueError(
                f"Program must be compiled for the fingerprint {expected:016x}, "
                f"not {fields['fingerprint']:016x}"
            )

    def _load(self, fields: Fields, image: bytes, following: bytes | None) -> None:
        start, size = fields["offset"], fields["beats"] * BEAT_BYTES
        source: bytes | bytearray
        match fields["source"]:
            case Base.PROGRAM:
                source = self._payload
            case Base.IMAGE:
                source = image
            case Base.NEXT_IMAGE:
                if following is None:
                    return
                source = image + following
            case _:
                raise ValueError(f"LOAD must read the program or an image, not {fields['source']}")
        data = bytes(source[start : start + size])
        if len(data) != size:
            raise ValueError(f"LOAD must find {size} bytes at {start}, not {len(data)}")
        if fields["memory"] in (MemoryId.FEATURE_0, MemoryId.FEATURE_1):
            group = fields["memory"] - MemoryId.FEATURE_0
            self._features.load(group, fields, data)
            return
        address, words = fields["address"], fields["words"]
        self._operands.clear()
        match fields["memory"]:
            case MemoryId.WEIGHT:
                nibbles = np.frombuffer(data, np.uint8)
                split = np.stack([nibbles & _NIBBLE, nibbles >> NIBBLE_BITS], axis=-1)
                table = [
                    fields["table"] >> (NIBBLE_BITS * nibble) & _NIBBLE
                    for nibble in range(TABLE_ENTRIES)
                ]
                terms = np.array(table, np.uint8)[split.reshape(-1)]
                read_words(self._weights, address, words, terms)
            case MemoryId.PARAMETER:
                for name, values in read_parameters(self._record, data).items():
                    read_words(self._parameters[name], address, words, values)
            case MemoryId.TERMS if self._machine.packing:
                read_words(self._terms, address, words, np.frombuffer(data, "<u8"))
            case _:
                raise ValueError(f"LOAD must name a memory, not {fields['memory']}")

    def _store(self, fields: Fields, result: bytearray) -> None:
        data = self._features.region(fields["group"], fields).tobytes()
        start, end = fields["offset"], fields["offset"] + len(data)
        match fields["target"]:
            case Base.RESULT:
                result.extend(bytes(max(0, end - len(result))))
                result[start:end] = data
            case Base.PROGRAM:
                code = self._program.instructions * INSTRUCTION_BEATS * BEAT_BYTES
                if start < code or end > len(self._payload):
                    raise ValueError(
                        f"STORE must stay behind the instructions, in {code}..{len(self._payload)},"
                        f" not in {start}..{end}"
                    )
                self._payload[start:end] = data
            case _:
                raise ValueError(
                    f"STORE must write a result or behind the program, not {fields['target']}"
                )

    def _activations(self, fields: Fields) -> Integers:
        """Return what the reader hands on: (turn, channel word, output y, x, ky, kx, lane)."""
        read, zero = fields["read_shift"], fields["read_zero"]
        turns, words = -(-fields["out_channels"] // fields["in_turn"]), fields["in_channels"]
        planes = self._features.planes(fields["in_group"], fields, turns * words)
        stored = planes.astype(np.int64)
        if fields["adaptation"] in (Adaptation.STEP, Adaptation.ADAPTED):
            gain = self._betas.gain(fields["beta_register"])
            rounded = round_shift((stored - zero) * gain, read + GAIN_FRACTION)
        else:
            rounded = round_shift(stored - zero, read)
        read_values = clamp(fields["read_offset"] + rounded, 0, fields["read_max"])
        y = _positions(
            fields["out_height"], fields["kernel_height"], fields["stride"], fields["pad_top"]
        )
        x = _positions(
            fields["out_width"], fields["kernel_width"], fields["stride"], fields["pad_left"]
        )
        height, width = fields["in_height"], fields["in_width"]
        inside = ((y >= 0) & (y < height))[:, None, :, None] & ((x >= 0) & (x < width))[:, None, :]
        gathered = read_values[
            :, y.clip(0, height - 1)[:, None, :, None], x.clip(0, width - 1)[:, None, :]
        ]
        read_at = np.where(inside[..., None], gathered, fields["pad_code"])
        return read_at.reshape(turns, words, *read_at.shape[1:])

    def _convolve(self, fields: Fields, index: int) -> Integers:
        """Return y (pixel, output channel) of all output groups."""
        machine = self._machine
        seen = self._activations(fields)
        pixels = fields["out_height"] * fields["out_width"]
        # (turn, pixel, lane of the walk): the order of a walk is ky, kx, channel word, and rows
        # within the word.
        lanes = seen.transpose(0, 2, 3, 4, 5, 1, 6).reshape(len(seen), pixels, -1)
        channels = fields["out_channels"] * machine.columns
        turn_channels = fields["in_turn"] * machine.columns
        turns = [slice(first, first + turn_channels) for first in range(0, channels, turn_channels)]
        sums = [np.zeros((pixels, channels)) for _ in range(2)]
        v = np.broadcast_to(self._parameter(fields, "bias"), (pixels, channels))
        for number, step in enumerate(pass_steps(fields)):
            key = index, number
            if key not in self._operands:
                self._operands[key] = decode_operand(
                    machine.array, self._weights, fields, step, int(self._terms[fields["terms"]])
                )
            operand = self._operands[key]
            nibble = ((lanes >> (NIBBLE_BITS * step["nibble"])) & _NIBBLE).astype(np.float64)
            for total, factors, constant in zip(
                sums, operand.factors, operand.constants, strict=True
            ):
                for own, of_turn in zip(nibble, turns, strict=True):
                    total[:, of_turn] += own @ factors[:, of_turn] + constant[of_turn]
            if step["drain"]:
                even, odd = (total.astype(np.int64) for total in sums)
                v = self._drain(fields, v, even, odd, step["shift"])
                for total in sums:
                    total[:] = 0
        return self._requantize(fields, v)

    def _pool(self, fields: Fields) -> Integers:
        """Return y (pixel, output channel) of all output groups."""
        columns = self._machine.columns
        seen, walk = self._activations(fields), (1, 4, 5)
        pass_steps(fields)
        maximum = fields["pool_mode"] == PoolMode.MAX
        reduced = seen.max(axis=walk) if maximum else seen.sum(axis=walk)
        pixels = fields["out_height"] * fields["out_width"]
        parts = []
        for group in range(fields["out_channels"]):
            first = group % self._machine.word_columns * columns
            parts.append(reduced[group // fields["in_turn"], ..., first : first + columns])
        even = np.concatenate(parts, axis=-1).reshape(pixels, -1)
        v = np.broadcast_to(self._parameter(fields, "bias"), even.shape)
        return self._requantize(fields, self._drain(fields, v, even, np.zeros_like(even), 0))

    def _drain(
        self, fields: Fields, v: Integers, even: Integers, odd: Integers, shift: int
    ) -> Integers:
        """Return ``v`` with the raw accumulators added, modulo 2**36."""
        machine = self._machine
        for rail, total, bits in (
            ("even", even, machine.even_bits),
            ("odd", odd, machine.odd_bits),
        ):
            if int(total.max(initial=0)) >> bits:
                raise ValueError(
                    f"Accumulators of the {rail} rail must hold {bits} bits, not {int(total.max())}"
                )
        if machine.requantizer is RequantizerKind.HALF_OCTAVE:
            turned = self._parameter(fields, "turned") == 1
            even, odd = np.where(turned, 2 * odd, even), np.where(turned, even, odd)
        drained = (even << SQRT2_FRACTION) + SQRT2_NUMERATOR * odd
        return wrap(v + (drained << (_SHIFT_UNIT * shift)), VALUE)

    def _requantize(self, fields: Fields, v: Integers) -> Integers:
        offset, factor = self._parameter(fields, "offset"), 1
        if self._machine.requantizer is RequantizerKind.MULTIPLIER:
            multiplier = self._parameter(fields, "multiplier")
            if fields["adaptation"] == Adaptation.ADAPTED:
                beta = self._betas.beta(fields["beta_register"])
                multiplier = round_shift(multiplier * beta, BETA.frac)
            scaled = multiply_add(v, multiplier, offset)
            factor = fields["shortcut_multiplier"]
        else:
            scaled = (v + offset) >> self._parameter(fields, "shift")
        added = min(fields["shortcut_groups"], fields["out_channels"]) * self._machine.columns
        if added:
            codes = self._features.shortcut(fields).astype(np.int64)[:, :added]
            term = (codes - fields["shortcut_zero"]) * factor
            scaled[:, :added] += term << fields["shortcut_shift"]
        return clamp(scaled >> fields["shift"], fields["low"], fields["high"])

    def _parameter(self, fields: Fields, name: str) -> Integers:
        """Return the constant ``name`` of every output channel of the layer."""
        slots = self._machine.slot_channels
        first = fields["parameter_base"] * slots
        count = fields["out_channels"] * self._machine.columns
        values = self._parameters[name].reshape(-1)[first : first + count]
        if len(values) != count:
            raise ValueError(f"Layer must have {count} channels of parameters, not {len(values)}")
        return values

    def _write_back(self, fields: Fields, y: Integers) -> bytes:
        """Store the results (pixel, channel) and return the stored region."""
        group = fields["out_group"]
        height, width = fields["out_height"], fields["out_width"]
        codes = y.reshape(height, width, -1)
        if fields["wide"]:
            parts = [codes & STREAM.high, (codes >> STREAM.bits) & STREAM.high]
            codes = np.stack(parts, axis=2).reshape(height, 2 * width, -1)
        region = {
            "base": fields["out_base"],
            "row_words": fields["out_row_words"],
            "plane_words": fields["out_plane_words"],
        }
        self._features.write(group, region, (codes & STREAM.high).astype(np.uint8))
        stored = {
            "base": fields["out_base"],
            "width": width << fields["wide"],
            "rows": fields["stored_rows"],
            "row_words": fields["out_row_words"],
        }
        return self._features.region(group, stored).tobytes()


def _positions(outputs: int, kernel: int, stride: int, pad: int) -> Integers:
    """Return the input coordinate of each output and window position: (output, window position)."""
    positions = np.arange(outputs)[:, None] * stride + np.arange(kernel) - pad
    return positions.astype(np.int64)
