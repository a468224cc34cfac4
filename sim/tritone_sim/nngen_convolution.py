# SPDX-License-Identifier: Apache-2.0
"""The convolution of ``tritone_sim.convolution`` on the accelerator that NNgen makes for it.

NNgen (github.com/NNgen/nngen) writes an accelerator for one network, with a multiplier for each
lane. It is measured with its own memory model and its own host, as its tests do, in Verilator.
"""

from __future__ import annotations

import importlib.metadata
import math
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tritone_sim.build import MAKE_VARIABLES, VERILATOR_FLAGS, keep_build, run_build
from tritone_sim.runner import JOBS
from tritone_sim.toolchain import Toolchain, find_toolchain

__all__ = ["TOP", "PeerDesign", "PeerRun", "draw_peer", "run_peer"]

TOP = "top"
_BENCH = "bench"
_PORT_BITS = 64
_WORD_BITS = 32  # of the memory image
_BIAS_BITS = 32
_KERNEL = 3

# Right shift of the sums by the activations' width: most of the codes are used.
_SHIFT = {4: 6, 8: 10}
# The bench's clock and delays are coroutines of C++ 20.
_COROUTINES = "CFG_CXXFLAGS_STD=-std=gnu++20"
_MEMORY_BYTES = 1 << 17  # of the memory image; the operands are some 50 KB


@dataclass(frozen=True, kw_only=True)
class PeerDesign:
    """An accelerator of NNgen for one convolution.

    Parameters
    ----------
    version : of NNgen.
    bits : of weights and activations, two's complement.
    lanes : multiply-accumulates a cycle.
    macs : of the convolution.
    verilog : of the accelerator; its top module is TOP.
    bench : Verilog of the accelerator with a memory and a host, which prints cycles and results.
    expected : output words of 32 bits, by NNgen's software model.
    """

    version: str
    bits: int
    lanes: int
    macs: int
    verilog: str
    bench: str
    expected: npt.NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True)
class PeerRun:
    """What a run gave.

    Parameters
    ----------
    cycles : from the host's start to the end that it reads, transfers included.
    words : results of 32 bits that were compared.
    mismatches : of them.
    seconds : that the simulation took.
    """

    cycles: int
    words: int
    mismatches: int
    seconds: float


def draw_peer(
    folder: Path, *, bits: int = 4, parallel: int = 4, channels: int = 16, size: int = 32
) -> PeerDesign:
    """Let NNgen make the accelerator, with random weights, bias, scale and map.

    Parameters
    ----------
    folder : gets the memory image, whose path the bench holds.
    bits : of weights and activations, 4 or 8.
    parallel : input channels, and output channels, at a time; with the nine taps of the window, the
        lanes are 9 * parallel ** 2.
    channels, size : of the map, ``channels`` x ``size`` x ``size``, in and out.

    Raises
    ------
    ModuleNotFoundError : NNgen is not installed.
    ValueError : NNgen has no such width here.
    """
    if bits not in _SHIFT:
        raise ValueError(f"Bits must be one of {sorted(_SHIFT)}, not {bits}")
    import nngen as ng
    import veriloggen

    veriloggen.reset()  # NNgen names what it makes by counters
    kind = ng.dtype_int(bits)
    operands = {
        "act": ng.placeholder(kind, shape=(1, size, size, channels), name="act"),
        "weight": ng.variable(kind, shape=(channels, _KERNEL, _KERNEL, channels), name="weight"),
        "bias": ng.variable(ng.dtype_int(_BIAS_BITS), (channels,), name="bias"),
        "scale": ng.variable(kind, (channels,), name="scale"),
    }
    output = ng.conv2d(
        operands["act"],
        operands["weight"],
        (1, 1, 1, 1),
        bias=operands["bias"],
        scale=operands["scale"],
        rshift_out=_SHIFT[bits],
        act_func=ng.relu,
        dtype=kind,
        sum_dtype=ng.int32,
        par_ich=parallel,
        par_och=parallel,
    )
    accelerator = ng.to_veriloggen(
        [output], TOP, silent=True, config={"maxi_datawidth": _PORT_BITS}
    )
    rng = np.random.default_rng(0)
    limit = 1 << bits - 1
    values = {
        "act": rng.integers(0, limit, operands["act"].shape),
        "weight": rng.integers(-limit, limit, operands["weight"].shape),
        "bias": rng.integers(-50, 50, channels),
        "scale": rng.integers(1, 4, channels),
    }
    (results,) = ng.eval([output], **values)
    image = folder.resolve() / "memory.hex"
    image.parent.mkdir(parents=True, exist_ok=True)
    memory = _memory_image(operands, values, parallel)
    count = math.prod(output.aligned_shape) * bits // _WORD_BITS
    return PeerDesign(
        version=importlib.metadata.version("nngen"),
        bits=bits,
        lanes=parallel**2 * _KERNEL**2,
        macs=(channels * size * _KERNEL) ** 2,
        verilog=accelerator.to_verilog(),
        bench=_bench(accelerator, memory, image, output.addr, count),
        expected=_packed(results, output.aligned_shape, bits),
    )


def _memory_image(
    operands: dict[str, Any], values: dict[str, Any], parallel: int
) -> npt.NDArray[np.int64]:
    """Return the words of the memory, with the operands where the accelerator wants them."""
    from veriloggen.types.axi import set_memory

    memory = np.zeros(_MEMORY_BYTES * 8 // _WORD_BITS, np.int64)
    for name, operand in operands.items():
        width = operand.dtype.width
        alignment = max(math.ceil(_PORT_BITS / width), parallel)
        set_memory(memory, values[name], _WORD_BITS, width, operand.addr, alignment)
    return memory


def _packed(values: Any, aligned: list[int], bits: int) -> npt.NDArray[np.uint32]:
    """Return codes [1, H, W, C] as words, the first code lowest."""
    padding = [(0, have - need) for have, need in zip(aligned, values.shape, strict=True)]
    codes = np.pad(values, padding).reshape(-1, _WORD_BITS // bits) & (1 << bits) - 1
    shifts = np.arange(codes.shape[1], dtype=np.int64) * bits
    return (codes.astype(np.int64) << shifts).sum(axis=1).astype(np.uint32)


def _bench(
    accelerator: Any, memory: npt.NDArray[np.int64], image: Path, address: int, words: int
) -> str:
    """Return the Verilog of a memory, a host and a clock around the accelerator.

    ``address`` and ``words`` are those of the results, which the host prints.
    """
    import nngen as ng
    from veriloggen import Module, Not, Seq, simulation, thread
    from veriloggen.types.axi import AxiMemoryModel

    bench = Module(_BENCH)
    ports = bench.copy_sim_ports(accelerator)
    clock, reset_low = ports["CLK"], ports["RESETN"]
    reset = bench.Wire("RST")
    reset.assign(Not(reset_low))
    model = AxiMemoryModel(
        bench,
        "memory",
        clock,
        reset,
        datawidth=_PORT_BITS,
        memimg=memory,
        memimg_name=str(image),
        memimg_datawidth=_WORD_BITS,
        # As the memory of our own bench: no delay and no pause, which it has by default.
        read_delay=0,
        write_delay=0,
        sleep_interval=0,
    )
    model.connect(ports, "maxi")
    registers = thread.AXIMLite(bench, "host", clock, reset, noio=True)
    registers.connect(ports, "saxi")
    counter = bench.Reg("counter", _WORD_BITS, initval=0)
    Seq(bench, "sequence", clock, reset)(counter.inc())

    # Veriloggen reads the source of this function and makes a state machine of it.
    def play() -> None:
        for _ in range(100):
            pass
        began = counter.value
        ng.sim.start(registers)
        ng.sim.wait(registers)
        ended = counter.value
        print("CYCLES %d" % (ended - began))
        for i in range(words):
            word = model.read_word(i, address, 32)
            print("RESULT %x" % word)
        thread.finish()

    thread.Thread(bench, "player", clock, reset, play).start()
    bench.Instance(accelerator, "accelerator", ports=bench.connect_ports(accelerator))
    simulation.setup_clock(bench, clock, hperiod=5)
    simulation.setup_reset(bench, reset_low, bench.make_reset(), period=100, polarity="low")
    text: str = bench.to_verilog()
    return text


def run_peer(design: PeerDesign, *, cache: Path = Path("build/verilator")) -> PeerRun:
    """Simulate the accelerator and compare its results.

    Parameters
    ----------
    cache : folder of all builds.

    Raises
    ------
    FileNotFoundError : a tool is missing.
    ValueError : ``cache`` has a space in its path.
    RuntimeError : the build failed, or the accelerator did not give all results.
    """
    toolchain = find_toolchain(waves=False)
    flags = (*VERILATOR_FLAGS, *MAKE_VARIABLES, _COROUTINES)
    folder = keep_build(
        cache.resolve(),
        toolchain,
        (design.bench,),
        flags,
        lambda folder: _build(folder, design.bench, toolchain),
    )
    began = time.perf_counter()
    done = subprocess.run([folder / _BENCH], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    lines = [line.split() for line in done.stdout.splitlines()]
    cycles = [int(line[1]) for line in lines if line[:1] == ["CYCLES"]]
    words = [int(line[1], 16) for line in lines if line[:1] == ["RESULT"]]
    if done.returncode or len(cycles) != 1 or len(words) != len(design.expected):
        raise RuntimeError(f"NNgen's accelerator must give all results: {done.stderr.strip()}")
    found = np.array(words, np.uint32)
    return PeerRun(
        cycles=cycles[0],
        words=len(words),
        mismatches=int((found != design.expected).sum()),
        seconds=round(seconds, 2),
    )


def _build(folder: Path, bench: str, toolchain: Toolchain) -> None:
    """Make the program of the bench, which has its own clock, in ``folder``."""
    (folder / f"{_BENCH}.v").write_text(bench)
    verilate = [str(toolchain.verilator), "--cc", "--exe", "--main", "--timing"]
    verilate += ["-Mdir", str(folder), "--prefix", "Vtop", "--top-module", _BENCH, "-o", _BENCH]
    verilate += ["-Wno-lint", "-Wno-style", *VERILATOR_FLAGS, str(folder / f"{_BENCH}.v")]
    make = [str(toolchain.make), f"-j{JOBS}", "-C", str(folder), "-f", "Vtop.mk"]
    make += [*toolchain.make_variables(), *MAKE_VARIABLES, _COROUTINES]
    run_build((verilate, make), folder, toolchain)
