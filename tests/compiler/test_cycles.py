# SPDX-License-Identifier: Apache-2.0
"""What a run is predicted to take; the system tests compare it with the Verilog, cycle by cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tritone.compiler import compile_network, describe, predict
from tritone.compiler.transfers import MemoryTiming
from tritone.graph import Network
from tritone.spec.isa import LAYER, Opcode
from tritone.spec.machine import preset
from tritone.spec.timing import INSTRUCTION_CYCLES, LOOKUP_CYCLES, layer_cycles

TINY = preset("tiny-p2")


@pytest.fixture
def network(spec: Any, random_network: Callable[..., Network]) -> Network:
    """Three layers that take longer than an image is loaded."""
    first = spec(out=8, pad=(1, 1, 1, 1), codebook="int8", bits=8)
    return random_network((3, 6, 6), [first, spec(out=8), spec(out=5)])


def test_layers_follow_each_other(network: Network) -> None:
    """Each layer takes the cycles of its instruction and begins as the one before it ends.

    Behind the last one STORE and NEXT are dispatched, then the first layer of the next image.
    """
    program = compile_network(network, TINY)
    words = program.instruction_words()
    run = predict(program, 4)
    layers = [step for step in run.steps if step.opcode is Opcode.CONVOLVE]
    assert [step.image for step in layers] == [image for image in range(4) for _ in range(3)]
    for step in layers:
        fields = LAYER.unpack(words[step.instruction])
        assert step.end - step.start == layer_cycles(TINY, fields)
    for index in range(0, 12, 3):
        assert layers[index + 1].start == layers[index].end
        assert layers[index + 2].start == layers[index + 1].end
    loads = {step.image: step for step in run.steps if step.opcode is Opcode.LOAD}
    stores = [step for step in run.steps if step.opcode is Opcode.STORE]
    for image in range(3):
        first, last, following = (layers[3 * image + index] for index in (0, 2, 3))
        assert loads[image].start == first.start + INSTRUCTION_CYCLES
        assert stores[image].start == last.end
        # The first layer writes over the result, which by then has been stored.
        assert following.start == last.end + 2 * INSTRUCTION_CYCLES > stores[image].end
    assert describe(program).cycles == layers[9].start - layers[6].start
    assert run.cycles == stores[-1].end
    # 2x2 words: read from cycle 2 on, queued 5 cycles later, all 4 in 11, sent in 12..15, answered
    # in 17, three cycles to the end.
    assert {store.end - store.start for store in stores} == {20}
    assert run.cycles == sum(run.image_cycles()) + (
        stores[-1].end - stores[-1].start - INSTRUCTION_CYCLES
    )


def test_one_place_of_the_image_costs_its_load(network: Network) -> None:
    """Without the overlap an image also takes its transfers."""
    program = compile_network(network, TINY)
    alone = compile_network(network, replace(TINY, instruction_words=128))
    steps = predict(alone, 3).steps
    load = next(step for step in steps if step.image == 2 and step.opcode is Opcode.LOAD)
    # 6x6 pixels with padding, in words of 8 channels: 64 positions, 36 windows of 4 words, from the
    # cycle behind the begin on; behind them the last word, its write, and that it is told.
    assert load.end - load.start == 2 + 64 + 3 * 36 + 3
    beside, behind = describe(program).cycles, describe(alone).cycles
    assert behind == beside + (load.end - load.start)


def test_a_slower_memory_delays_what_waits_for_it(network: Network) -> None:
    """The start of a run, but not the images beside whose layers the next one is loaded."""
    program = compile_network(network, TINY)
    fast, slow = (
        predict(program, 3, MemoryTiming(read_latency=latency, write_latency=2))
        for latency in (2, 20)
    )
    # The program and the parameters; five loads of weights, which the fast memory offers while
    # their table is written, the slow one 3 + 20 cycles behind the begin; the first pixel stands
    # behind 9 positions of padding, for 4 cycles more than it takes to come.
    weights = 5 * (3 + 20 - LOOKUP_CYCLES)
    assert slow.image_cycles()[0] == fast.image_cycles()[0] + 2 * 18 + weights + 14
    assert slow.image_cycles()[1:] == fast.image_cycles()[1:]


def test_no_images_are_refused(network: Network) -> None:
    """A run has at least one."""
    with pytest.raises(ValueError, match=r"^Images must be at least 1, not 0$"):
        predict(compile_network(network, TINY), 0)
