# SPDX-License-Identifier: Apache-2.0
"""The instructions that run a layer: its slices and stripes, and the transfers of what is outside.

A slice goes over all stripes. With two buffers the next stripe is loaded, and the one before
stored, while a stripe is computed; with one these take turns. What waits for what follows from the
words that they touch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest

from tritone.compiler.allocate import Allocation
from tritone.compiler.constants import Slice
from tritone.compiler.gather import Windows
from tritone.compiler.instructions import (
    Fields,
    LayerConstants,
    View,
    layer_fields,
    load_pixels,
    load_windows,
    store_rows,
)
from tritone.compiler.outside import Outside
from tritone.compiler.place import Place
from tritone.compiler.stripes import Stripe, added_words, pixel_rows, read_words, stored_words
from tritone.compiler.striping import Role, tensors
from tritone.compiler.tile import TiledLayer
from tritone.spec.isa import Opcode
from tritone.spec.machine import MachineConfig

__all__ = ["Item", "LayerRun", "Part"]


@dataclass(frozen=True)
class Part:
    """What an instruction computes of a layer's output: from a channel word and a row on."""

    layer: int
    word: int
    row: int


@dataclass(frozen=True)
class Item:
    """An instruction; ``part`` of a layer's."""

    opcode: Opcode
    fields: Fields
    part: Part | None = None


@dataclass(frozen=True)
class _Job:
    """A stripe of a slice."""

    number: int
    part: Slice
    stripe: Stripe


@dataclass(frozen=True)
class _Loaded:
    """What a job reads in a buffer: words and rows of a tensor, which may be there already."""

    place: Place
    words: range
    rows: range
    there: bool


class LayerRun:
    """A layer.

    Parameters
    ----------
    index, tiled : of the layer.
    allocation : of all layers.
    places : of the tensors on the chip.
    windows : what LOAD makes of the image, if this layer reads that.
    machine : shape of the machine.
    """

    def __init__(
        self,
        index: int,
        tiled: TiledLayer,
        allocation: Allocation,
        places: Mapping[str, Place],
        windows: Windows | None,
        machine: MachineConfig,
    ) -> None:
        self._index, self._tiled = index, tiled
        self._allocation, self._places = allocation, places
        self._windows, self._machine = windows, machine
        self._names = {role: tensor.name for role, (tensor, _) in tensors(tiled).items()}
        striping = allocation.features.stripings[index]
        self._buffers = striping.buffers
        self._copies = max((len(places) for places in self._buffers.values()), default=1)
        self._jobs = [
            _Job(number, part, stripe)
            for number, part in enumerate(allocation.constants.slices)
            if part.layer == index
            for stripe in striping.stripes
        ]
        self._loaded = {
            role: self._turns(role) for role in (Role.SOURCE, Role.ADDED) if role in self._buffers
        }

    def items(
        self, behind_first: Mapping[int, list[Item]], behind_last: Mapping[int, list[Item]]
    ) -> Iterator[Item]:
        """Yield the instructions.

        Parameters
        ----------
        behind_first, behind_last : what stands behind the first and the last instruction of a
            slice.
        """
        jobs, beside = self._jobs, self._copies > 1
        yield from self._loads(0)
        for index, job in enumerate(jobs):
            first, *rest = self._layers(index)
            yield first
            if index == 0 or jobs[index - 1].number != job.number:
                yield from behind_first.get(job.number, [])
            if beside:
                stores = self._stores(index - 1) if index else []
                yield from _alternate(stores, self._loads(index + 1))
            yield from rest
            if index + 1 == len(jobs) or jobs[index + 1].number != job.number:
                yield from behind_last.get(job.number, [])
            if not beside:
                yield from chain(self._stores(index), self._loads(index + 1))
        if beside:
            yield from self._stores(len(jobs) - 1)

    def _outside(self, role: Role) -> Outside:
        return self._allocation.features.outside[self._names[role]]

    def _wanted(self, role: Role, job: _Job) -> tuple[range, range]:
        """Return the channel words and rows that a job has in a buffer."""
        if role is Role.ADDED:
            assert job.stripe.added is not None
            words = added_words(self._tiled, job.part, self._machine)
            return words, self._outside(role).loaded(job.stripe.added)
        words, rows = read_words(self._tiled, job.part), job.stripe.source
        return words, rows if self._windows else self._outside(role).loaded(rows)

    def _turns(self, role: Role) -> list[_Loaded]:
        """Return what each job finds in which buffer."""
        places, turn = self._buffers[role], -1
        found: list[_Loaded] = []
        for job in self._jobs:
            words, rows = self._wanted(role, job)
            there = bool(found) and (found[-1].words, found[-1].rows) == (words, rows)
            turn += not there
            found.append(_Loaded(places[turn % len(places)], words, rows, there))
        return found

    def _loads(self, index: int) -> list[Item]:
        """Return the LOADs of what a job reads."""
        if index == len(self._jobs):
            return []
        items = []
        for role, turns in self._loaded.items():
            loaded, tensor = turns[index], self._outside(role)
            if loaded.there:
                continue
            view = View.of_buffer(loaded.place, len(loaded.rows))
            words, rows = loaded.words, loaded.rows
            if role is Role.SOURCE and self._windows:
                pixels, *padding = pixel_rows(self._jobs[index].stripe, self._windows)
                top, down = padding
                fields = load_windows(tensor, pixels, (top, down), self._windows, view)
                items.append(Item(Opcode.LOAD, fields))
            elif len(rows) == tensor.height and words:
                # The rows of all channel words lie one behind the other.
                every = range(len(words) * len(rows))
                fields = load_pixels(tensor, words.start, every, view)
                items.append(Item(Opcode.LOAD, fields))
            else:
                for number, word in enumerate(words):
                    fields = load_pixels(tensor, word, rows, view.behind(number))
                    items.append(Item(Opcode.LOAD, fields))
        return items

    def _result(self, index: int) -> View | None:
        """Return the buffer for the results of a job, if it has one."""
        if Role.RESULT not in self._buffers:
            return None
        places = self._buffers[Role.RESULT]
        return View.of_buffer(places[index % len(places)], self._jobs[index].stripe.rows)

    def _stores(self, index: int) -> list[Item]:
        """Return the STOREs of the results of a job."""
        view, job = self._result(index), self._jobs[index]
        if view is None:
            return []
        tensor, stripe = self._outside(Role.RESULT), job.stripe
        words = stored_words(job.part, self._machine)
        if stripe.rows == tensor.height:
            fields = store_rows(view, len(words) * stripe.rows, tensor, words.start, 0)
            return [Item(Opcode.STORE, fields)]
        return [
            Item(
                Opcode.STORE,
                store_rows(view.behind(number), stripe.rows, tensor, word, stripe.first),
            )
            for number, word in enumerate(words)
        ]

    def _layers(self, index: int) -> list[Item]:
        """Return the layer's own instructions for a job.

        Where rows of other stripes lie between its channel words each of these takes one.
        """
        job, view = self._jobs[index], self._result(index)
        part, unit = job.part, self._machine.word_columns
        height = self._tiled.layer.output.shape[1]
        if view is not None or job.stripe.rows == height:
            return [self._layer(index, part, view)]
        end = part.first + part.groups
        return [
            self._layer(index, Slice(part.layer, first, min(unit, end - first)), view)
            for first in range(part.first, end, unit)
        ]

    def _layer(self, index: int, part: Slice, result: View | None) -> Item:
        tiled, machine, job = self._tiled, self._machine, self._jobs[index]
        stripe, number, constants = job.stripe, job.number, self._allocation.constants
        word = part.first // machine.word_columns
        into = result or View.of(self._places[self._names[Role.RESULT]]).behind(word, stripe.first)
        added = None
        if stripe.added is not None:
            added = self._read(Role.ADDED, index, word, stripe.added)
        ahead = part.first - job.part.first
        fields = layer_fields(
            tiled,
            part,
            stripe,
            (
                self._read(Role.SOURCE, index, tiled.reach.first(part.first), stripe.source),
                into,
                added,
            ),
            LayerConstants(
                weights=tuple(
                    base + tiled.storage.pass_words(plane, ahead)
                    for plane, base in enumerate(constants.weight_bases[number])
                ),
                parameters=constants.parameter_bases[number] + ahead * machine.requantizer_slots,
                terms=constants.term_bases[number],
            ),
            self._allocation.beta_registers,
            machine,
        )
        return Item(tiled.layer.opcode, fields, Part(self._index, word, stripe.first))

    def _read(self, role: Role, index: int, word: int, rows: range) -> View:
        """Return the rows of a tensor that a job reads, from a channel word on."""
        if role not in self._loaded:
            return View.of(self._places[self._names[role]]).behind(word, rows.start)
        loaded = self._loaded[role][index]
        view = View.of_buffer(loaded.place, len(loaded.rows))
        return view.behind(word - loaded.words.start, rows.start - loaded.rows.start)


def _alternate(stores: Iterable[Item], loads: Iterable[Item]) -> Iterator[Item]:
    """Yield transfers of both kinds in turn, so that they pass side by side."""
    for pair in zip_longest(stores, loads):
        yield from (item for item in pair if item is not None)
