# SPDX-License-Identifier: Apache-2.0
"""From a machine to the file that configures a board."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tritone.spec.area import Area
from tritone.spec.hard_blocks import block_memories
from tritone.spec.machine import BEAT_BITS, BEAT_BYTES, MachineConfig
from tritone.spec.storage import write_atomically
from tritone_hw.board.board_top import ACCELERATOR_PATH, BoardDesign, board_design
from tritone_hw.board.catalog import Board
from tritone_hw.synthesis.fit import require_fit, require_hard_blocks
from tritone_hw.synthesis.flow import Synthesis
from tritone_hw.synthesis.mapping import map_verilog
from tritone_hw.synthesis.placement import (
    CONFIGURATION,
    PLACERS,
    Algorithms,
    Pinout,
    Router,
    place_seeds,
    placement_folder,
)
from tritone_hw.synthesis.script import NETLIST
from tritone_hw.synthesis.tools import ECPPACK, YOSYS, log_tail, run_tool

__all__ = ["Bitstream", "build_bitstream", "make_bitstream"]

# The router that ends on large arrays, and does not wait long for small ones.
_ALGORITHMS = Algorithms(router=Router.ROUTER2)


@dataclass(frozen=True, kw_only=True)
class Bitstream:
    """A machine on a board.

    Parameters
    ----------
    path : of the file.
    clock_hz : that the board runs it at.
    synthesis : what it takes; what stands around the accelerator is the wrapper.
    """

    path: Path
    clock_hz: int
    synthesis: Synthesis


def make_bitstream(
    machine: MachineConfig,
    board: Board,
    *,
    seeds: Iterable[int] = (1,),
    build: Path = Path("build"),
    watch: Callable[[str], None] = lambda stage: None,
) -> Bitstream:
    """Write ``build/board/<machine>-<board>.bit``, of the seed with the highest clock.

    What comes before the last step is kept as for ``synthesise``.

    Parameters
    ----------
    machine, board : of what, for what.
    seeds : of the placer; each is a placement of its own.
    build : folder for what is generated.
    watch : is told the stage, often.

    Raises
    ------
    FileNotFoundError : a tool is missing; the message names the command that installs it.
    ModuleNotFoundError : amaranth-boards is missing.
    ValueError : the board's device is too small for the machine and the memory beside it, no seed
        was routed, or the machine is too slow for its clock.
    RuntimeError : a tool failed.
    """
    _tool_versions(board)  # before the Verilog, which takes longer
    beats = board.memory_bytes // BEAT_BYTES
    memory = Area(bram=block_memories(BEAT_BITS, BEAT_BITS, beats))
    require_hard_blocks(machine, board.device, memory)
    watch("generate the Verilog")
    design = board_design(machine, board)
    return build_bitstream(design, machine, board, seeds=seeds, build=build, watch=watch)


def build_bitstream(
    design: BoardDesign,
    machine: MachineConfig,
    board: Board,
    *,
    seeds: Iterable[int],
    build: Path,
    watch: Callable[[str], None],
) -> Bitstream:
    """Do what ``make_bitstream`` does, with a design that is there already."""
    device = board.device
    name = f"{machine.name}-{board.name}"
    mapped = map_verilog(design.verilog, ACCELERATOR_PATH, name, device, build=build, watch=watch)
    require_fit(machine, device, sum(mapped.blocks.values(), Area()))
    netlist = mapped.folder / NETLIST
    pinout = Pinout(constraints=design.constraints, package=board.package, speed=design.speed)
    placed = place_seeds(
        device, netlist, seeds=seeds, algorithms=_ALGORITHMS, watch=watch, pinout=pinout
    )
    result = Synthesis(
        machine=machine,
        device=device,
        blocks=mapped.blocks,
        mapping_seconds=mapped.seconds,
        placements=placed.placements,
        tool_versions=_tool_versions(board),
        failures=placed.failures,
    )
    best = result.best
    assert best is not None
    if best.fmax_mhz * 1e6 < design.clock_hz:
        raise ValueError(
            f"Machine {machine.name} must reach the {design.clock_hz / 1e6:g} MHz of {board.name}, "
            f"not {best.fmax_mhz:.1f} MHz; try other --seeds or a smaller machine"
        )
    watch("pack the bitstream")
    folder = placement_folder(
        device, netlist, seed=best.seed, algorithms=_ALGORITHMS, pinout=pinout
    )
    path = build / "board" / f"{name}.bit"
    write_atomically(path, _packed(folder))
    return Bitstream(path=path, clock_hz=design.clock_hz, synthesis=result)


def _tool_versions(board: Board) -> tuple[str, ...]:
    return (YOSYS.version(), PLACERS[board.device.family].version())


def _packed(placement: Path) -> bytes:
    """Return the bitstream of the placement in a folder."""
    # A folder of its own: another process may pack the same placement.
    with TemporaryDirectory(dir=placement, prefix=".pack-") as place:
        folder = Path(place)
        bit, log = folder / "packed.bit", folder / "ecppack.log"
        arguments = ("--compress", "--input", CONFIGURATION, "--bit", f"{folder.name}/{bit.name}")
        code = run_tool(ECPPACK, arguments, placement, log, lambda line: None)
        if code:
            raise RuntimeError(
                f"ecppack must pack the bitstream, but ended with {code}: {log_tail(log)}"
            )
        return bit.read_bytes()
