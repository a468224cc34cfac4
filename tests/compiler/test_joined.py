# SPDX-License-Identifier: Apache-2.0
"""Concatenations: parts lie where the whole has them, and what has no place is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network
from tritone.compiler.allocate import allocate
from tritone.compiler.fold import fold
from tritone.compiler.tile import tile
from tritone.graph import Network, Tensor
from tritone.spec.machine import MachineConfig, preset

MACHINE = preset("tiny")


def network(
    step: Any, spec: Any, network_of_steps: Callable[..., Network], *joins: tuple[str, ...]
) -> Network:
    """Return layers 0 to 3 of 8, 16, 5 and 8 channels, and one that reads each of ``joins``."""
    point = {"kernel": (1, 1), "pad": (0, 0, 0, 0)}
    steps = [step(spec=spec(out=out, **point), reads=-1) for out in (8, 16, 5, 8)]
    plain = network_of_steps((8, 4, 5), steps, seed=0)
    tensors, nodes = dict(plain.tensors), list(plain.nodes)
    for index, parts in enumerate(joins):
        name, out = f"joined{index}", f"read{index}"
        channels = sum(tensors[part].shape[0] for part in parts)
        own = {"zero": tensors[parts[0]].zero, "step": tensors[parts[0]].step}
        tensors[name] = Tensor(name=name, shape=(channels, 4, 5), parts=parts, **own)
        tensors[out] = replace(tensors["tensor3"], name=out)
        codes = np.zeros((8, channels, 1, 1), np.uint8)
        nodes.append(replace(nodes[3], name=out, input=name, output=out, codes=codes))
    return replace(plain, tensors=tensors, nodes=tuple(nodes), output=nodes[-1].output)


def test_parts_lie_in_the_whole(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """Words of 8 channels, 4 rows of 3 words: 8 channels take 12 words, 16 take 24."""
    joins = (("tensor0", "tensor1"), ("tensor3", "joined0", "tensor2"), ("tensor1", "tensor2"))
    made = network(step, spec, network_of_steps, *joins)
    places = allocate([tile(layer, MACHINE) for layer in fold(made)], MACHINE).features.places
    base, group = places["joined1"].base, places["joined1"].group
    found = {name: place.base - base for name, place in places.items() if "read" not in name}
    del found["input"]
    assert found == {
        "tensor3": 0,
        "joined0": 12,
        "tensor0": 12,
        "tensor1": 24,
        "tensor2": 48,
        "joined1": 0,
        "joined2": 24,
    }
    assert {places[name].group for name in found} == {group}
    words = {name: places[name].region.words for name in ("joined0", "joined1", "tensor2")}
    assert words == {"joined0": 36, "joined1": 60, "tensor2": 12}


def test_the_whole_lives_from_its_first_part_on(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """Nothing else lies in it until its last reader, though parts of it are not made yet."""
    made = network(step, spec, network_of_steps, ("tensor0", "tensor3"))
    places = allocate([tile(layer, MACHINE) for layer in fold(made)], MACHINE).features.places
    whole = places["joined0"]
    for name in ("tensor1", "tensor2"):
        place = places[name]
        assert (
            place.group != whole.group
            or place.base >= whole.base + whole.region.words
            or place.base + place.region.words <= whole.base
        )


@pytest.mark.parametrize(
    ("joins", "message"),
    [
        (
            [("tensor2", "tensor0")],
            (
                r"^Layer read0 must read a concatenation whose parts but the last have a multiple "
                r"of 8 channels, not 5 as tensor2 has; make them so many, or put it last$"
            ),
        ),
        (
            [("tensor0", "tensor1"), ("tensor1", "tensor0")],
            (
                r"^Layer read1 must read tensor0 where another concatenation has it, not elsewhere "
                r"in joined1; a pool of 1x1 can copy it$"
            ),
        ),
        (
            [("tensor0", "tensor1"), ("tensor0", "tensor3")],
            (
                r"^Tensors (tensor1 and tensor3|tensor3 and tensor1) must have places of "
                r"their own, not both the same in concatenations; a pool of 1x1 can copy what "
                r"these share$"
            ),
        ),
    ],
    ids=["lanes", "order", "twice"],
)
def test_what_has_no_place_is_refused(
    joins: list[tuple[str, ...]],
    message: str,
    step: Any,
    spec: Any,
    network_of_steps: Callable[..., Network],
) -> None:
    with pytest.raises(ValueError, match=message):
        compile_network(network(step, spec, network_of_steps, *joins), MACHINE)


def test_an_image_is_no_part(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    made = network(step, spec, network_of_steps, ("tensor0", "tensor3"))
    image = replace(made.tensors["input"], zero=0, step=1.0)
    joined = replace(made.tensors["joined0"], parts=("tensor0", "input"))
    tensors = made.tensors | {"input": image, "joined0": joined}
    message = (
        r"^Layer read0 must read a concatenation of layers' results, not of input; "
        r"a pool of 1x1 can copy it$"
    )
    with pytest.raises(ValueError, match=message):
        compile_network(replace(made, tensors=tensors), MACHINE)


def test_half_words_hold_two_groups(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """Where a word holds two output groups, parts are whole words all the same."""
    machine = MachineConfig(name="half", rows=16, columns=8, pixels=1, requantizer_slots=8)
    made = network(step, spec, network_of_steps, ("tensor0", "tensor1"))
    message = r"^Layer read0 must read a concatenation whose .* a multiple of 16 channels, not 8 as"
    with pytest.raises(ValueError, match=message):
        compile_network(made, machine)
