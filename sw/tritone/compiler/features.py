# SPDX-License-Identifier: Apache-2.0
"""Where tensors lie: in feature memory by liveness, and outside what it has no room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tritone.compiler.constants import Slice
from tritone.compiler.feature_groups import feature_groups
from tritone.compiler.gather import Windows
from tritone.compiler.images import pixel_bits
from tritone.compiler.joined import Member, join
from tritone.compiler.outside import Outside, lay_out
from tritone.compiler.place import Place, first_fit
from tritone.compiler.stripes import cut
from tritone.compiler.striping import Option, Role, Striping, find_options, tensors
from tritone.compiler.tile import Region, TiledLayer
from tritone.spec.isa import Base
from tritone.spec.machine import MachineConfig

__all__ = ["Features", "place_features"]


@dataclass(frozen=True, kw_only=True)
class Features:
    """Where everything lies that layers read and write.

    Parameters
    ----------
    places : of the tensors on the chip by name.
    outside : of the others.
    work_bytes : external memory that these take beside image and result.
    stripings : of the layers.
    images : of the image; two where the next one is loaded beside the layers, none where it is
        outside.
    results : of the result, one for each place of the image; equal where memory has no second one,
        none where it is outside.
    """

    places: Mapping[str, Place]
    outside: Mapping[str, Outside]
    work_bytes: int
    stripings: tuple[Striping, ...]
    images: tuple[Place, ...]
    results: tuple[Place, ...]


class _Full(ValueError):
    """A group has no room for what a layer needs."""

    def __init__(self, layer: str, index: int, group: int, there: int, needed: str) -> None:
        super().__init__(f"Layer {layer} must fit {there} feature words in group {group}{needed}")
        self.index = index
        self.group = group


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """What is to be placed.

    Parameters
    ----------
    layers : in the order of execution.
    slices : of all layers.
    windows : what LOAD makes of the image, if anything.
    machine : whose memory it is.
    members : tensors that lie in regions with others.
    groups : of all tensors.
    """

    layers: Sequence[TiledLayer]
    slices: Sequence[Slice]
    windows: Windows | None
    machine: MachineConfig
    members: Mapping[str, Member]
    groups: Mapping[str, int]

    @property
    def image(self) -> str:
        """Name of what the first layer reads."""
        return self.layers[0].layer.input.name

    @property
    def result(self) -> str:
        """Name of what the last layer makes."""
        return self.layers[-1].layer.output.name

    @property
    def made(self) -> dict[str, int]:
        """Which layer makes each tensor; -1 for the image."""
        made = {each.layer.output.name: index for index, each in enumerate(self.layers)}
        return {self.image: -1} | made

    @property
    def last_read(self) -> dict[str, int]:
        """The last layer that reads each tensor by its name, or that makes it."""
        last_read = self.made
        for index, each in enumerate(self.layers):
            for role, (tensor, _) in tensors(each).items():
                if role is not Role.RESULT:
                    last_read[tensor.name] = index
        return last_read

    def unit(self, name: str) -> frozenset[str]:
        """Return the tensors that are on the chip, or not, together with ``name``."""
        return self.members[name].family if name in self.members else frozenset((name,))

    def units(self) -> list[frozenset[str]]:
        """Return all of these in the order in which they are made."""
        return list(dict.fromkeys(self.unit(name) for name in self.made))

    def life(self, unit: frozenset[str]) -> tuple[int, int]:
        """Return the first layer that makes one of these tensors and the last one to read one."""
        made, last_read = self.made, self.last_read
        return min(made[name] for name in unit & made.keys()), max(last_read[n] for n in unit)

    def region(self, unit: frozenset[str]) -> Region:
        """Return the region of all of these tensors."""
        name = min(unit)
        if name in self.members:
            return self.members[name].whole
        regions = (tensors(each).values() for each in self.layers)
        return next(region for of in regions for tensor, region in of if tensor.name == name)


def _lay_out(problem: _Problem, names: frozenset[str]) -> tuple[dict[str, Outside], int]:
    """Return where the tensors outside are, and the bytes that they take behind the program."""
    machine = problem.machine
    ends = (frozenset((problem.image,)), frozenset((problem.result,)))
    units = [each for each in problem.units() if each <= names and each not in ends]
    kept = {min(each): each for each in units}
    whole, size = lay_out(
        {name: problem.region(each) for name, each in kept.items()},
        {name: problem.life(each) for name, each in kept.items()},
        machine,
    )
    outside = {}
    for first, unit in kept.items():
        for name in unit:
            word = problem.members[name].first if name in problem.members else 0
            outside[name] = replace(whole[first], offset=whole[first].at(word, 0))
    if problem.image in names:
        image = problem.windows.image if problem.windows else problem.layers[0].layer.input
        channels, height, width = image.shape
        bits = pixel_bits(channels, machine)
        outside[problem.image] = Outside(
            base=Base.IMAGE, offset=0, height=height, width=width, pixel_bits=bits
        )
    if problem.result in names:
        region = problem.layers[-1].output
        outside[problem.result] = Outside(
            base=Base.RESULT,
            offset=0,
            height=region.height,
            width=region.width,
            pixel_bits=machine.rows.bit_length() - 1,
        )
    return outside, size


class _Placement:
    """The tensors placed one after the other, in the order of execution.

    Parameters
    ----------
    problem : what is to be placed.
    outside : names of the tensors that are not to be on the chip.
    second : group of the second place of the image, if it has one.

    Raises
    ------
    _Full : the others do not fit.
    """

    def __init__(self, problem: _Problem, outside: frozenset[str], second: int | None) -> None:
        self._problem, self._machine = problem, problem.machine
        self.outside, self.work_bytes = _lay_out(problem, outside)
        self._last_read = problem.last_read
        if second is not None:
            # One of the two places is always being read or filled.
            self._last_read[problem.image] = len(problem.layers)
        self.places: dict[str, Place] = {}
        self.images: tuple[Place, ...] = ()
        self._place_image(second)
        self.stripings = tuple(self._run(index, each) for index, each in enumerate(problem.layers))

    def _living(self, index: int, group: int) -> list[Place]:
        """Return the places of a group that layer ``index`` leaves as they are."""
        living = [
            place
            for name, place in self.places.items()
            if place.group == group and self._last_read[name] >= index
        ]
        return living + [place for place in self.images[:-1] if place.group == group]

    def _place(self, index: int, group: int, region: Region) -> Place:
        base = first_fit(region.words, self._living(index, group))
        there = self._machine.feature_words
        if base + region.words > there:
            name = self._problem.layers[max(index, 0)].layer.name
            raise _Full(name, index, group, there, f", not {base + region.words}")
        return Place(group, base, region)

    def _place_image(self, second: int | None) -> None:
        name = self._problem.image
        if name in self.outside:
            return
        region = self._problem.layers[0].input
        groups = [self._problem.groups[name], *([] if second is None else [second])]
        for group in groups:
            # The first of two lies beside the second.
            self.places[name] = self._place(-1, group, region)
            self.images = (*self.images, self.places[name])

    def _run(self, index: int, tiled: TiledLayer) -> Striping:
        """Place the output of a layer and the buffers that it needs."""
        name = tiled.layer.output.name
        if name not in self.outside and name not in self.places:
            self._place_output(index, tiled)
        roles = [tensor.name for tensor, _ in tensors(tiled).values()]
        if not any(name in self.outside for name in roles):
            return Striping(stripes=cut(tiled, tiled.layer.output.shape[1]), buffers={})
        return self._stripe(index, tiled)

    def _place_output(self, index: int, tiled: TiledLayer) -> None:
        problem, layer = self._problem, tiled.layer
        name, added, members = layer.output.name, layer.shortcut, problem.members
        if name in members:
            member = members[name]
            base = self._place(index, problem.groups[name], member.whole).base
            for each in member.family:
                other = members[each]
                self.places[each] = Place(problem.groups[each], base + other.offset, other.region)
        elif (
            added is not None
            and added.tensor.name in self.places
            and added.tensor.name not in members
            and added.stride == 1
            and self._last_read[added.tensor.name] == index
            and tiled.shortcut == tiled.output
            and not layer.output.wide
        ):
            self.places[name] = self.places[added.tensor.name]
        else:
            self.places[name] = self._place(index, problem.groups[name], tiled.output)

    def _stripe(self, index: int, tiled: TiledLayer) -> Striping:
        """Return the fastest stripes whose buffers fit."""
        problem = self._problem
        slices = [part for part in problem.slices if problem.layers[part.layer] is tiled]
        windows = problem.windows if index == 0 else None
        groups = {role: problem.groups[each.name] for role, (each, _) in tensors(tiled).items()}
        least: tuple[int, int, int] | None = None
        for option in find_options(tiled, slices, self.outside, windows, self._machine):
            buffers = self._buffers(index, option, groups)
            taken = [place for places in buffers.values() for place in places]
            most = max(taken, key=lambda place: place.end)
            if most.end <= self._machine.feature_words:
                return Striping(stripes=option.stripes, buffers=buffers)
            if least is None or most.end < least[0]:
                least = most.end, most.group, option.stripes[0].rows
        assert least is not None
        words, group, rows = least
        there = self._machine.feature_words
        needed = f" with {rows} of {tiled.output.height} rows of its output at once, not {words}"
        raise _Full(tiled.layer.name, index, group, there, needed)

    def _buffers(
        self, index: int, option: Option, groups: Mapping[Role, int]
    ) -> dict[Role, tuple[Place, ...]]:
        taken = {group: self._living(index, group) for group in set(groups.values())}
        buffers: dict[Role, tuple[Place, ...]] = {}
        for role, region in option.regions.items():
            group = groups[role]
            places = []
            for _ in range(option.copies):
                places.append(Place(group, first_fit(region.words, taken[group]), region))
                taken[group].append(places[-1])
            buffers[role] = tuple(places)
        return buffers


def _spill(problem: _Problem, outside: frozenset[str], full: _Full) -> frozenset[str]:
    """Return ``outside`` with what takes most of the full group when layer ``full.index`` runs.

    Raises
    ------
    _Full : all of it is outside already.
    """
    own = {tensor.name for tensor, _ in tensors(problem.layers[max(full.index, 0)]).values()}

    def living(unit: frozenset[str]) -> bool:
        made, last = problem.life(unit)
        return not unit <= outside and made <= full.index <= last

    units = [unit for unit in problem.units() if living(unit)]
    there = [unit for unit in units if problem.groups[min(unit)] == full.group]
    there = there or [unit for unit in units if unit & own]
    if not there:
        raise full
    words = [problem.region(unit).words for unit in there]
    return outside | there[words.index(max(words))]


def _results(problem: _Problem, placement: _Placement, images: int) -> tuple[Place, ...]:
    """Return the places of the result: a second one on words that nothing else ever takes.

    So the result of an image is stored while the layer that makes the next one writes the other.
    """
    if problem.result in placement.outside:
        return ()
    first = placement.places[problem.result]
    if images == 1:
        return (first,)
    taken = [*placement.places.values(), *placement.images]
    base = first_fit(first.region.words, [each for each in taken if each.group == first.group])
    if base + first.region.words > problem.machine.feature_words:
        return first, first
    return first, Place(first.group, base, first.region)


def _place_all(problem: _Problem, images: int, *, spill: bool) -> _Placement:
    """Return a placement in which the image has ``images`` places.

    The second place of the image goes to the other group where the first one has no room for it,
    unless a shortcut tells the groups apart: the layer that reads it then writes the group that it
    reads in every other image.
    """
    if images == 2:
        try:
            return _Placement(problem, frozenset(), 0)
        except _Full:
            if any(
                each.layer.shortcut is not None
                and problem.image in (each.layer.input.name, each.layer.shortcut.tensor.name)
                for each in problem.layers
            ):
                raise
            return _Placement(problem, frozenset(), 1)
    outside: frozenset[str] = frozenset()
    while True:
        try:
            return _Placement(problem, outside, None)
        except _Full as full:
            if not spill:
                raise
            outside = _spill(problem, outside, full)


def place_features(
    layers: Sequence[TiledLayer],
    slices: Sequence[Slice],
    windows: Windows | None,
    machine: MachineConfig,
    *,
    images: int = 1,
    spill: bool = False,
) -> Features:
    """Return where the tensors of ``layers`` lie.

    On the chip a tensor lies on words that no living tensor takes, or replaces the shortcut that
    its layer is the last to read. With ``spill`` what a full memory has no room for goes outside:
    the largest tensor that lives there, until the rest fits.

    Parameters
    ----------
    layers : in the order of execution; the first one reads the image.
    slices : of all layers.
    windows : what LOAD makes of the image, if anything.
    images : places of the image, 1 or 2.
    spill : one place of the image at most, and tensors outside where they do not fit.

    Raises
    ------
    ValueError : feature memory is too small; the message names the layer that exceeds it, and the
        words that it needs.
    """
    members = join(layers, machine)
    problem = _Problem(
        layers=layers,
        slices=slices,
        windows=windows,
        machine=machine,
        members=members,
        groups=feature_groups(layers, members),
    )
    placement = _place_all(problem, images, spill=spill)
    return Features(
        places=placement.places,
        outside=placement.outside,
        work_bytes=placement.work_bytes,
        stripings=placement.stripings,
        images=placement.images,
        results=_results(problem, placement, images),
    )
