# SPDX-License-Identifier: Apache-2.0
"""The memories of the machine: banks of feature words, betas, and words of constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tritone.golden.arithmetic import Integers
from tritone.golden.dump import Bytes
from tritone.spec.fixed import BETA, BETA_HIGH, BETA_LOW, GAIN_FRACTION
from tritone.spec.isa import BETA_REGISTERS, MAX_WINDOW_CHANNELS, WINDOW_KERNEL
from tritone.spec.machine import BEAT_BYTES, MachineConfig
from tritone.spec.record import Record

__all__ = ["BetaRegisters", "FeatureMemory", "read_parameters", "read_words"]


class FeatureMemory:
    """Two groups of 2P banks of words of R bytes.

    Pixel (word k, y, x) lies in bank x mod 2P at word ``base + k * plane_words + y * row_words + x
    div 2P``.
    """

    def __init__(self, machine: MachineConfig) -> None:
        self._machine = machine
        self._words: Bytes = np.zeros(
            (2, machine.banks, machine.feature_words, machine.rows), np.uint8
        )

    def _place(self, rows: Integers, row_words: int, width: int) -> tuple[Integers, Integers]:
        """Return bank and word of each pixel of rows that begin at the words ``rows``."""
        x = np.arange(width)
        words = rows[..., None] + x // self._machine.banks
        if x.size and x[-1] // self._machine.banks >= row_words:
            raise ValueError(f"Row of {width} pixels must fit {row_words} words of each bank")
        if words.size and int(words.max()) >= self._machine.feature_words:
            raise ValueError(
                f"Region must fit {self._machine.feature_words} feature words, "
                f"not {int(words.max()) + 1}"
            )
        return np.broadcast_to(x % self._machine.banks, words.shape), words

    def _rows(self, region: Mapping[str, int]) -> Integers:
        return region["base"] + np.arange(region["rows"]) * region["row_words"]

    @staticmethod
    def _windows(fields: Mapping[str, int], pixels: Bytes) -> Bytes:
        """Return the windows of ``pixels`` (y, x, byte) as LOAD says: (y, x, tap and channel)."""
        kernel, channels, stride = fields["kernel"], fields["channels"], fields["stride"]
        down, across = fields["down"], fields["across"]
        top, left = fields["pad_top"], fields["pad_left"]
        height, width, size = pixels.shape
        if kernel != WINDOW_KERNEL or not 1 <= channels <= MAX_WINDOW_CHANNELS:
            raise ValueError(
                f"Windows must be 3x3 and have 1..{MAX_WINDOW_CHANNELS} channels, "
                f"not {kernel}x{kernel} and {channels}"
            )
        if stride not in (1, 2) or channels > size:
            raise ValueError(
                f"Windows must have a stride of 1 or 2 and channels of the {size} bytes, "
                f"not {stride} and {channels}"
            )
        if down < max(top + height, kernel) or across < max(left + width, kernel):
            raise ValueError(f"Windows must reach over the image, not {down} rows, {across} across")
        padded = np.full((down, across, channels), fields["pad_code"], np.uint8)
        padded[top : top + height, left : left + width] = pixels[..., :channels]
        taps = [
            padded[
                ky : down - kernel + ky + 1 : stride,
                kx : across - kernel + kx + 1 : stride,
            ]
            for ky in range(kernel)
            for kx in range(kernel)
        ]
        return np.concatenate(taps, axis=-1)

    def load(self, group: int, fields: Mapping[str, int], data: bytes) -> None:
        """Fill a region from packed pixels or their windows as LOAD says.

        The channels behind them become 0.
        """
        size = 1 << fields["pixel_bytes"]
        if size > self._machine.rows:
            raise ValueError(f"Pixel must have at most {self._machine.rows} bytes, not {size}")
        used = fields["rows"] * fields["width"] * size
        if -(-used // BEAT_BYTES) != fields["beats"]:
            raise ValueError(f"LOAD must read the beats of {used} bytes, not {fields['beats']}")
        pixels = np.frombuffer(data[:used], np.uint8).reshape(fields["rows"], fields["width"], size)
        if fields["kernel"]:
            if fields["across"] > self._machine.gather_width:
                raise ValueError(
                    f"Windows must be gathered from at most {self._machine.gather_width} columns, "
                    f"not {fields['across']}"
                )
            windows = self._windows(fields, pixels)
            unused = -windows.shape[-1] % self._machine.rows
            codes = np.pad(windows, ((0, 0), (0, 0), (0, unused)))
            self.write(group, {**fields, "base": fields["address"]}, codes)
            return
        rows = self._rows({**fields, "base": fields["address"]})
        bank, word = self._place(rows, fields["row_words"], fields["width"])
        self._words[group, bank, word] = 0
        self._words[group, bank, word, :size] = pixels

    def region(self, group: int, fields: Mapping[str, int]) -> Bytes:
        """Return the rows of a region: (row, pixel, lane)."""
        bank, word = self._place(self._rows(fields), fields["row_words"], fields["width"])
        words: Bytes = self._words[group, bank, word]
        return words

    def planes(self, group: int, fields: Mapping[str, int], words: int) -> Bytes:
        """Return the first ``words`` channel words of an input: (channel word, y, x, lane)."""
        rows = (
            fields["in_base"]
            + np.arange(words)[:, None] * fields["in_plane_words"]
            + np.arange(fields["in_height"]) * fields["in_row_words"]
        )
        bank, word = self._place(rows, fields["in_row_words"], fields["in_width"])
        values: Bytes = self._words[group, bank, word]
        return values

    def shortcut(self, fields: Mapping[str, int]) -> Bytes:
        """Return what a layer adds to its output pixels, (pixel, channel), whole channel words.

        Raises
        ------
        ValueError : results would replace words of it that another tile reads.
        """
        height, width = fields["out_height"], fields["out_width"]
        words = -(
            -min(fields["shortcut_groups"], fields["out_channels"]) // self._machine.word_columns
        )
        stride, row_words = 1 << fields["shortcut_stride"], fields["shortcut_row_words"]
        rows = (
            fields["shortcut_base"]
            + np.arange(words)[:, None] * fields["shortcut_plane_words"]
            + np.arange(0, stride * height, stride) * row_words
        )
        bank, word = self._place(rows, row_words, stride * (width - 1) + 1)
        in_place = not fields["wide"] and stride == 1
        for name in ("base", "row_words", "plane_words"):
            in_place = in_place and fields[f"shortcut_{name}"] == fields[f"out_{name}"]
        results = fields["out_base"] + fields["stored_rows"] * fields["out_row_words"]
        if fields["out_base"] <= word.max() and word.min() < results and not in_place:
            raise ValueError(
                f"Layer must write its shortcut in place or not at all, not {fields['out_base']}.."
                f"{results - 1} over {int(word.min())}..{int(word.max())}"
            )
        codes: Bytes = self._words[fields["out_group"], bank, word][:, :, ::stride]
        return codes.transpose(1, 2, 0, 3).reshape(height * width, -1)

    def write(self, group: int, fields: Mapping[str, int], codes: Bytes) -> None:
        """Write ``codes`` (y, stored x, channel); lanes that have no code stay as they are."""
        height, width, channels = codes.shape
        lanes = self._machine.rows
        for plane in range(-(-channels // lanes)):
            part = codes[:, :, plane * lanes : (plane + 1) * lanes]
            rows = (
                fields["base"]
                + plane * fields["plane_words"]
                + np.arange(height) * fields["row_words"]
            )
            bank, word = self._place(rows, fields["row_words"], width)
            self._words[group, bank, word, : part.shape[2]] = part


class BetaRegisters:
    """The betas of an image, U2.10, from which layers take them and their reciprocals, U2.8."""

    def __init__(self) -> None:
        self._betas: list[int | None] = [None] * BETA_REGISTERS

    def keep(self, register: int, beta: int) -> None:
        """Put ``beta`` into ``register``."""
        if not BETA_LOW <= beta <= BETA_HIGH:
            raise ValueError(f"Beta must be in {BETA_LOW}..{BETA_HIGH}, not {beta}")
        self._betas[register] = beta

    def beta(self, register: int) -> int:
        """Return the beta in ``register``."""
        beta = self._betas[register]
        if beta is None:
            raise ValueError(f"Beta register {register} must be filled before it is read")
        return beta

    def gain(self, register: int) -> int:
        """Return the reciprocal of the beta in ``register``, rounded half up."""
        beta = self.beta(register)
        return ((1 << (BETA.frac + GAIN_FRACTION)) + (beta >> 1)) // beta


def read_words(
    memory: npt.NDArray[Any], address: int, words: int, values: npt.NDArray[Any]
) -> None:
    """Put ``values``, exactly ``words`` words, into ``memory`` (word first) from ``address`` on."""
    if address + words > len(memory):
        raise ValueError(f"LOAD must fit {len(memory)} words, not {address + words}")
    if values.size != words * memory[0].size:
        raise ValueError(f"LOAD must read the beats of {words} words, not {values.size} values")
    memory[address : address + words] = values.reshape(words, *memory.shape[1:])


def read_parameters(record: Record, data: bytes) -> dict[str, Integers]:
    """Return the fields of the records in ``data``, an array for each field."""
    size = record.bits // 8
    records = [
        record.unpack(int.from_bytes(data[start : start + size], "little"))
        for start in range(0, len(data), size)
    ]
    return {
        field.name: np.array([each[field.name] for each in records], np.int64)
        for field in record.fields
    }
