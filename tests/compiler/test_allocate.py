# SPDX-License-Identifier: Apache-2.0
"""Nothing that is still needed is overwritten, and what does not fit is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from adaptive_networks import adapt

from tritone.compiler.align import align
from tritone.compiler.allocate import allocate
from tritone.compiler.fold import fold
from tritone.compiler.tile import tile
from tritone.graph import Network
from tritone.spec.machine import MachineConfig, preset


def _allocate(network: Network, machine: MachineConfig) -> Any:
    return allocate([tile(layer, machine) for layer in fold(network)], machine)


def _branches(spec: Any, random_network: Callable[..., Network]) -> Network:
    """Six layers of which 2 and 4 read the first tensor, and 5 the output of 2."""
    pointwise = spec(out=8, kernel=(1, 1))
    network = random_network((8, 6, 6), [pointwise] * 6)
    inputs = ["input", "tensor0", "tensor0", "tensor2", "tensor0", "tensor2"]
    nodes = [replace(node, input=name) for node, name in zip(network.nodes, inputs, strict=True)]
    return replace(network, nodes=tuple(nodes))


def test_living_tensors_never_overlap(spec: Any, random_network: Callable[..., Network]) -> None:
    """At every layer its input, its output and all that is read later have words of their own."""
    network = _branches(spec, random_network)
    places = _allocate(network, preset("tiny")).features.places
    made = {"input": -1} | {node.output: index for index, node in enumerate(network.nodes)}
    last = {
        name: max([made[name]] + [i for i, n in enumerate(network.nodes) if n.input == name])
        for name in made
    }
    last[network.output] = len(network.nodes)
    for index, node in enumerate(network.nodes):
        assert places[node.output].group == 1 - places[node.input].group
        taken = set()
        for name in made:
            if made[name] <= index <= last[name]:
                place = places[name]
                words = {
                    (place.group, word)
                    for word in range(place.base, place.base + place.region.words)
                }
                assert not words & taken, (node.name, name)
                taken |= words


def test_dead_words_are_used_again(spec: Any, random_network: Callable[..., Network]) -> None:
    """A chain of equal tensors alternates between two places."""
    network = random_network((8, 8, 8), [spec(out=8, kernel=(1, 1))] * 5)
    places = _allocate(network, preset("tiny")).features.places
    assert {(place.group, place.base) for place in places.values()} == {(0, 0), (1, 0)}


@pytest.mark.parametrize("kind", ["identity", "pad", "project"])
def test_shortcuts_lie_in_the_group_that_is_written(
    kind: str, residual_blocks: Callable[..., Network]
) -> None:
    """Input and shortcut in different groups; all that is read later has words of its own."""
    network, _ = align(residual_blocks(kind, 0))
    places = _allocate(network, preset("tiny")).features.places
    for index, node in enumerate(network.nodes):
        added = getattr(node, "shortcut", None)
        if added is not None:
            assert places[added.tensor].group == places[node.output].group
            assert places[added.tensor].group != places[node.input].group
        for other in network.nodes[index + 1 :]:
            later = {other.input}
            if getattr(other, "shortcut", None) is not None:
                later.add(other.shortcut.tensor)
            made = {network.input} | {each.output for each in network.nodes[:index]}
            for name in later & made:
                one, two = places[name], places[node.output]
                assert (
                    one.group != two.group
                    or one.base + one.region.words <= two.base
                    or two.base + two.region.words <= one.base
                )


def test_results_replace_a_shortcut_that_nobody_reads_again(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """The first sum needs its shortcut kept for the second one, which replaces it."""
    point = spec(out=8, kernel=(1, 1))
    network = network_of_steps(
        (8, 4, 4),
        [
            step(spec=point, reads=-1),
            step(spec=point, reads=0),
            step(spec=point, reads=1, adds=0),
            step(spec=point, reads=2),
            step(spec=point, reads=3, adds=0),
        ],
        seed=0,
    )
    places = _allocate(network, preset("tiny")).features.places
    assert places["tensor2"] != places["tensor0"]
    assert places["tensor4"] == places["tensor0"]


def test_contradictory_shortcuts_are_refused(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """A layer cannot add its own input."""
    point = spec(out=8, kernel=(1, 1))
    network = network_of_steps(
        (8, 4, 4), [step(spec=point, reads=-1), step(spec=point, reads=0, adds=0)], seed=0
    )
    message = (
        r"^Layer layer1 must have its shortcut tensor0 in another feature memory group than its "
        r"input tensor0, which other layers forbid; a pool of 1x1 between can copy one of them$"
    )
    with pytest.raises(ValueError, match=message):
        _allocate(network, preset("tiny"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_words": 16}, r"^Layer layer1 must fit 16 feature words in group 0, not 21$"),
        ({"feature_words": 8}, r"^Layer layer0 must fit 8 feature words in group 0, not 12$"),
    ],
)
def test_full_feature_memories_are_refused(
    change: dict[str, int], message: str, spec: Any, random_network: Callable[..., Network]
) -> None:
    """The layer that is first to exceed a group, what it has and what is needed so far."""
    network = random_network(
        (8, 4, 5),
        [
            spec(out=8, kernel=(3, 3), pad=(1, 1, 1, 1), codebook="post4"),
            spec(out=8, kernel=(2, 2), pad=(0, 1, 4, 1), codebook="int8"),
        ],
    )
    with pytest.raises(ValueError, match=message):
        _allocate(network, replace(preset("tiny"), **change))


def test_a_second_image_goes_where_there_is_room(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """Beside the first one if both and the layers fit there, else to the other group."""
    network = random_network((8, 4, 8), [spec(out=8, kernel=(3, 3)), spec(out=8, kernel=(1, 1))])
    for words, group in ((64, 0), (32, 1)):
        machine = replace(preset("tiny"), feature_words=words)
        layers = [tile(layer, machine) for layer in fold(network)]
        images = allocate(layers, machine, 2).features.images
        assert [(each.group, each.base) for each in images] == [(0, 0), (group, 16 * (1 - group))]


def _betas(
    step: Any, spec: Any, network_of_steps: Callable[..., Network], count: int
) -> dict[str, int]:
    """The registers where a chain of ``count`` tensors is read again, the last one first."""
    point = spec(out=4, kernel=(1, 1))
    steps = [step(spec=point, reads=index - 1) for index in range(count)]
    steps += [step(spec=replace(point, zero=64), reads=index) for index in reversed(range(count))]
    network = adapt(network_of_steps((3, 2, 2), steps, seed=0), adapted=False)
    registers = _allocate(network, preset("tiny-asq")).beta_registers
    return dict(registers)


def test_betas_that_live_have_registers_of_their_own(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """Four at once; a fifth is refused. One that nobody reads with any more gives up its own."""
    registers = _betas(step, spec, network_of_steps, 4)
    assert registers == {f"tensor{index}.beta": index for index in range(4)}
    message = r"^Layer tensor4\.beta must fit 4 betas at once, not 5$"
    with pytest.raises(ValueError, match=message):
        _betas(step, spec, network_of_steps, 5)
    point = spec(out=4, kernel=(1, 1))
    chain = network_of_steps((3, 2, 2), [step(spec=point, reads=n) for n in range(-1, 6)], seed=0)
    registers = _allocate(adapt(chain, adapted=True), preset("tiny-asq")).beta_registers
    # A beta is read with for the last time before the next one is made.
    assert set(registers.values()) == {0}
