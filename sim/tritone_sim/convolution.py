# SPDX-License-Identifier: Apache-2.0
"""One convolution of 16 to 16 channels, 3x3, on maps of 32x32: what accelerators are compared by.

NNgen 1.3.4 takes 20,305 cycles for it with 144 lanes of 4 bits, 80.7 % of them used, and 70,073
with 36 lanes of 8 bits, 93.5 %; transfers are included.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tritone.compiler import compile_network, pack_images, predict
from tritone.golden import fast
from tritone.graph import Convolution, Network, Tensor, Window
from tritone.spec.catalog import codebook
from tritone.spec.fixed import INPUT_ZERO, STREAM, half
from tritone.spec.machine import MachineConfig
from tritone_sim.build import Model
from tritone_sim.divergence import compare
from tritone_sim.dump import dumped_tensors
from tritone_sim.execution import execute
from tritone_sim.job import Outcome, Pass
from tritone_sim.verification import golden_tensors, program_job

__all__ = ["LEAD", "convolution_network", "measure_convolution", "random_maps"]

_CHANNELS, _SIZE, _BITS = 16, 32, 4
_SHIFT = 24

# Maps of a run until it is steady: the program's load lies before the first one.
LEAD = 2


def convolution_network(codes: str = "post4") -> Network:
    """Return the convolution with random weights: 4-bit activations of 8-bit streams.

    Parameters
    ----------
    codes : name of the weights' codebook.
    """
    rng = np.random.default_rng(0)
    book = codebook(codes)
    shape = (_CHANNELS, _SIZE, _SIZE)
    signs = rng.choice((-1, 1), _CHANNELS)
    node = Convolution(
        name="convolution",
        input="input",
        output="output",
        window=Window(kernel=(3, 3), pad=(1, 1, 1, 1)),
        codebook=book.name,
        codes=rng.choice(np.array(book.codes, np.uint8), (_CHANNELS, _CHANNELS, 3, 3)),
        bits=_BITS,
        pad_code=INPUT_ZERO >> STREAM.bits - _BITS,
        # Sums of some 40,000 spread the outputs over most of the codes, and some are clamped.
        multiplier=signs * rng.integers(16_000, 32_000, _CHANNELS),
        offset=(rng.integers(64, 192, _CHANNELS) << _SHIFT) + half(_SHIFT),
        shift=_SHIFT,
        low=STREAM.low,
        high=STREAM.high,
    )
    return Network(
        name=f"conv3x3_{_CHANNELS}x{_SIZE}x{_SIZE}",
        input="input",
        output="output",
        tensors={
            "input": Tensor(name="input", shape=shape, zero=INPUT_ZERO, step=1.0),
            "output": Tensor(name="output", shape=shape, zero=0, step=1.0),
        },
        nodes=(node,),
    )


def random_maps(network: Network, count: int) -> np.ndarray:
    """Return random images, raw bytes [N, C, H, W], as ``network`` takes them."""
    shape = (count, *network.tensors[network.input].shape)
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


def measure_convolution(
    model: Model,
    machine: MachineConfig,
    maps: int,
    folder: Path,
    watch: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Run the convolution in Verilog and return a row of docs/results/accelerator.json.

    ``cycles_per_image`` is that of the steady state, with the transfers of each map: what ``maps``
    maps behind the first LEAD ones add to a run. ``single_shot_cycles`` is a run of one map, from
    start to done, loading the program included.

    Parameters
    ----------
    model : the machine's Verilog, compiled.
    maps : how many make up the steady state.
    folder : for the files of the simulation.
    watch : told the maps done, now and then.

    Raises
    ------
    ValueError : there are no maps, or the convolution does not fit the machine.
    RuntimeError : the simulation failed, or the machine stopped with an error.
    """
    if maps < 1:
        raise ValueError(f"Maps must be at least 1, not {maps}")
    network = convolution_network()
    program = compile_network(network, machine)
    images = random_maps(network, LEAD + maps)
    packed = pack_images(images, program)
    counts = (1, LEAD, LEAD + maps)
    passes = [Pass(first=0, images=count) for count in counts]
    outcomes = execute(model, program_job(program, packed, passes), folder, watch)
    for outcome in outcomes:
        outcome.require_done()
    single, lead, whole = outcomes
    predicted = [predict(program, count).cycles for count in counts]
    tensors = dumped_tensors(program)
    golden = golden_tensors(program, packed)
    layers = fast.run(network, images)[network.output]
    macs = network.macs(network.nodes[0])

    def wrong(outcome: Outcome, count: int) -> int:
        return compare(tensors, outcome.results, golden[:count], ()).mismatches

    mismatches = sum(wrong(*each) for each in zip(outcomes, counts, strict=True))
    mismatches += sum(int((a[-1] != b).sum()) for a, b in zip(golden, layers, strict=True))
    cycles = (whole.cycles - lead.cycles) / maps
    return {
        "network": network.name,
        "codebook": network.nodes[0].codebook,
        "weight_bits": codebook(network.nodes[0].codebook).bits,
        "act_bits": _BITS,
        "machine": machine.name,
        "fingerprint": f"{whole.fingerprint:016x}",
        "images": maps,
        "tensors": len(tensors),
        "values": sum(counts) * tensors[0].size,
        "mismatches": mismatches,
        "cycles_per_image": cycles,
        "predicted_cycles_per_image": (predicted[2] - predicted[1]) / maps,
        "single_shot_cycles": single.cycles,
        "predicted_single_shot_cycles": predicted[0],
        "mac_cycles_per_image": (whole.array_cycles - lead.array_cycles) / maps,
        "utilisation": macs / (machine.macs_per_cycle * cycles),
        "single_shot_utilisation": macs / (machine.macs_per_cycle * single.cycles),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 2),
    }
