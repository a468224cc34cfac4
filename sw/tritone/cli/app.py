# SPDX-License-Identifier: Apache-2.0
"""``tritone``: the commands. A user's error is one line on stderr and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer.main import get_command

from tritone.cli.bench import bench
from tritone.cli.board_commands import bitstream_command, run_command
from tritone.cli.errors import REPORTED, explain
from tritone.cli.estimate_commands import estimate_command, explore_command
from tritone.cli.machine_file import load_machine
from tritone.cli.options import (
    FAILURE,
    USER_ERROR,
    BuildFolder,
    DataFolder,
    DeviceName,
    MachineName,
    RunFolder,
    require_path,
)
from tritone.cli.results_commands import check_command, report_command, sweep_command

__all__ = ["app", "main"]


app = typer.Typer(
    name="tritone",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


app.add_typer(bench)
app.command("sweep")(sweep_command)
app.command("check")(check_command)
app.command("report")(report_command)
app.command("bitstream")(bitstream_command)
app.command("run")(run_command)
app.command("estimate")(estimate_command)
app.command("explore")(explore_command)


@app.callback()
def options(
    traceback: Annotated[
        bool, typer.Option("--traceback", help="show where an error comes from")
    ] = False,
) -> None:
    """Train networks to powers of sqrt(2); build and verify the machine that runs them."""


def _console() -> Console:
    return Console(highlight=False)


@app.command("data")
def data_command(
    name: Annotated[
        str,
        typer.Argument(help="digits, cifar10, fashion_mnist, or a file of the data folder"),
    ] = "digits",
    folder: DataFolder = Path("data"),
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures", help="make NAME of train/CLASS/* and val/CLASS/* in this folder"
        ),
    ] = None,
    size: Annotated[
        int, typer.Option("--size", min=1, help="height and width of images made of pictures")
    ] = 224,
) -> None:
    """Fetch and check a data set."""
    from tritone.cli.tables import dataset_table
    from tritone.qat.sources.catalog import prepare

    console = _console()
    with Console(stderr=True).status(f"preparing {name}"):
        found = prepare(name, folder, pictures, size)
    console.print(dataset_table(name, {"training": found.train_images, "test": found.test_images}))


@app.command("train")
def train_command(
    recipe: Annotated[str, typer.Argument(help="name of a recipe, or a .toml file")] = "digits",
    run: Annotated[Path | None, typer.Option("--run", help="default: runs/<recipe>")] = None,
    folder: DataFolder = Path("data"),
    device: DeviceName = "auto",
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="in the place of the recipe's own")
    ] = None,
) -> None:
    """Train a recipe into a run folder; an interrupted training goes on where it was.

    Under torchrun each process takes its share of every batch.
    """
    from tritone.cli.tables import training_table
    from tritone.qat.device import parse_device
    from tritone.qat.parallel import rank
    from tritone.qat.recipe import load_recipe
    from tritone.qat.train import train

    parsed = load_recipe(recipe)
    if seed is not None:
        parsed = replace(parsed, seed=seed)
    place = run or Path("runs") / Path(recipe).stem
    report = train(parsed, place, folder, device=parse_device(device))
    if rank() == 0:
        _console().print(training_table(place, report))


@app.command("export")
def export_command(
    run: RunFolder,
    folder: DataFolder = Path("data"),
    static_steps: Annotated[
        bool, typer.Option("--static-steps", help="asq: betas become their means, for any machine")
    ] = False,
) -> None:
    """Freeze a trained run to integers: RUN/graph."""
    from tritone.cli.tables import layer_table
    from tritone.qat.export import export_run

    _console().print(layer_table(export_run(run, folder, static_steps=static_steps)))


@app.command("draw")
def draw_command(
    recipe: Annotated[str, typer.Argument(help="name of a recipe, or a .toml file")] = "digits",
    run: Annotated[Path | None, typer.Option("--run", help="default: runs/<recipe>")] = None,
    images: Annotated[int, typer.Option("--images", help="test images to keep with it")] = 5,
    folder: DataFolder = Path("data"),
) -> None:
    """Export a recipe's network with random weights: to see what it costs before training."""
    from tritone.cli.tables import layer_table
    from tritone.qat.recipe import load_recipe
    from tritone.qat.untrained import export_untrained

    place = run or Path("runs") / Path(recipe).stem
    parsed = load_recipe(recipe)
    _console().print(layer_table(export_untrained(parsed, place, images, folder)))


@app.command("compile")
def compile_command(run: RunFolder, machine: MachineName = "demo") -> None:
    """Compile RUN/graph for a machine: RUN/program.bin."""
    from tritone.cli.tables import program_table
    from tritone.compiler import compile_network
    from tritone.graph import Network

    shape = load_machine(machine)
    graph = require_path(run / "graph", f"tritone export {run}")
    program = compile_network(Network.load(graph), shape)
    program.save(run / "program.bin")
    _console().print(program_table(program))


@app.command("rtl")
def rtl_command(
    machine: MachineName = "demo",
    target: Annotated[
        str, typer.Option("--target", help="cells of the array: portable (none), ecp5 or xc7")
    ] = "portable",
    build: BuildFolder = Path("build"),
) -> None:
    """Generate the Verilog of a machine, and a C header for its driver."""
    from tritone.cli.tables import machine_table
    from tritone_hw.emit import write_verilog
    from tritone_hw.platform.target import named_target

    shape = load_machine(machine)
    files = write_verilog(shape, build, named_target(target))
    _console().print(machine_table(shape, files))


@app.command("ip")
def ip_command(
    machine: MachineName = "demo",
    out: Annotated[
        Path | None, typer.Option("--out", help="folder; default: build/ip/<machine>")
    ] = None,
    clock: Annotated[float, typer.Option("--mhz", help="clock of the constraints")] = 100.0,
    part: Annotated[
        str, typer.Option("--part", help="device of the Vivado project")
    ] = "xc7z020clg400-1",
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="cells of the array: portable (none), ecp5 or xc7; default: xc7 for a part xc7...",
        ),
    ] = None,
    build: BuildFolder = Path("build"),
) -> None:
    """Write a machine as a block for Vivado, FuseSoC and LiteX, with drivers."""
    from tritone.cli.tables import machine_table
    from tritone_hw.ip.package import write_ip
    from tritone_hw.platform.target import named_target

    shape = load_machine(machine)
    files = write_ip(
        shape,
        out or build / "ip" / shape.name,
        mhz=clock,
        part=part,
        target=None if target is None else named_target(target),
    )
    _console().print(machine_table(shape, files))


@app.command("synth")
def synth_command(
    machine: MachineName = "demo",
    target: Annotated[str, typer.Option("--target", help="device, such as ecp5-85k")] = "ecp5-85k",
    run: Annotated[
        Path | None, typer.Option("--run", help="run whose frames a second to tell")
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="placements to try, of seeds 1, 2, ...")
    ] = 1,
    placer: Annotated[
        str, typer.Option("--placer", help="heap, or static: try which places a machine better")
    ] = "heap",
    router: Annotated[
        str | None, typer.Option("--router", help="router1 or router2; default: by size")
    ] = None,
    build: BuildFolder = Path("build"),
) -> None:
    """Map a machine to a device with yosys, place and route it with nextpnr."""
    from tritone.cli.synth import synth
    from tritone.cli.tables import synthesis_table
    from tritone.spec.device import device

    shape, place = load_machine(machine), device(target)
    if placer not in ("heap", "static"):
        raise ValueError(f"Placer must be heap or static, not {placer!r}")
    if router not in (None, "router1", "router2"):
        raise ValueError(f"Router must be router1 or router2, not {router!r}")
    path, report = synth(shape, place, run, range(1, seeds + 1), placer, router, build)
    _console().print(synthesis_table(report, path))


@app.command("sim")
def sim_command(
    run: RunFolder,
    images: Annotated[
        int, typer.Option("--images", min=0, help="held-out images to run; 0: all of them")
    ] = 0,
    machine: Annotated[
        str | None, typer.Option("--machine", help="default: the one of RUN/program.bin")
    ] = None,
    waves: Annotated[bool, typer.Option("--waves", help="record FST waves")] = False,
    layers: Annotated[
        bool, typer.Option("--layers", help="tell each layer's values and its first wrong one")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option("--processes", min=1, help="simulators at once; default: by cores and images"),
    ] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="the simulators run over Ray, by default on all cores")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option("--address", help="of --cluster: a Ray; local: one of its own"),
    ] = None,
    netlist: Annotated[
        str | None,
        typer.Option("--netlist", help="ecp5 or xc7: run the machine as synthesised for it"),
    ] = None,
    build: BuildFolder = Path("build"),
) -> int:
    """Run test images through the Verilog and compare every value with the golden model."""
    from safetensors import safe_open

    from tritone.cli.synth import synthesised_machine
    from tritone.cli.tables import comparison_table, simulation_table
    from tritone.spec.program import Program
    from tritone_sim.divergence import Divergence
    from tritone_sim.shares import Processes, Workers, processes_for
    from tritone_sim.simulate import simulate
    from tritone_sim.toolchain import find_toolchain

    if address is not None and not cluster:
        raise ValueError("Simulation must have --cluster to have --address")
    program = Program.load(require_path(run / "program.bin", f"tritone compile {run}"))
    shape = load_machine(machine) if machine else program.machine
    find_toolchain(waves=waves)  # before the Verilog, which takes longer
    test = require_path(run / "graph" / "test.safetensors", f"tritone export {run}")
    if not images:
        with safe_open(test, framework="numpy") as tensors:
            images = tensors.get_slice("images").get_shape()[0]
    with ExitStack() as stack:
        workers: Workers | None = None
        if cluster:
            from tritone.cli.cluster import Cluster

            workers = stack.enter_context(Cluster(processes, address=address))
        else:
            processes = processes or (1 if waves else processes_for(images))
            workers = Processes(processes) if processes > 1 else None
        made = synthesised_machine(shape, netlist, build) if netlist else None
        report = simulate(
            run, shape, images, waves=waves, build=build, workers=workers, netlist=made
        )
    console = _console()
    if layers:
        console.print(comparison_table(report))
    console.print(simulation_table(report))
    if report["mismatches"]:
        if report["divergence"]:
            first = Divergence(**report["divergence"])
            console.print(f"first divergence: {first}", soft_wrap=True)
        return FAILURE
    return 0


@app.command("show")
def show_command(
    what: Annotated[
        Path, typer.Argument(help="run folder, program file or graph folder", metavar="WHAT")
    ],
    summary: Annotated[
        bool, typer.Option("--summary", help="of a run only what it comes to")
    ] = False,
) -> None:
    """Print the tables of a run, a program or a graph; a run gets its pictures drawn too."""
    from tritone.cli.show import show

    show(what, _console(), summary=summary)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0; 1 where values differ or the build of a simulation failed; 2 for a user's error.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = get_command(app)
    traceback = False
    try:
        with command.make_context("tritone", given) as context:
            traceback = context.params["traceback"]
            return int(command.invoke(context) or 0)
    except typer.Exit as done:
        return done.exit_code
    except typer.Abort:
        return USER_ERROR
    except Exception as error:
        if traceback or not isinstance(error, REPORTED):
            raise
        message = explain(error)
        if message:  # none where typer printed its help, of a command that needs another one
            print(f"error: {message}", file=sys.stderr)
        return FAILURE if isinstance(error, RuntimeError) else USER_ERROR
