# SPDX-License-Identifier: Apache-2.0
"""``tritone bench``: how fast things are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tritone.cli.machine_file import load_machine
from tritone.cli.options import FAILURE, BuildFolder, MachineName, require_path

__all__ = ["bench"]

bench = typer.Typer(name="bench", help="Measure how fast things are.", no_args_is_help=True)


@bench.command("train")
def bench_train_command(
    rounds: Annotated[int, typer.Option("--rounds", help="measured steps of each method")] = 10,
    model: Annotated[
        str, typer.Option("--model", help="for 3x32x32 images; or FILE.py:NAME")
    ] = "resnet20",
    batch: Annotated[int, typer.Option("--batch", help="images a step")] = 128,
    threads: Annotated[int, typer.Option("--threads", min=1, help="of torch")] = 1,
) -> None:
    """Time a training step of every method, in turns; Brevitas too where it is installed."""
    from tritone.cli.tables import step_time_table
    from tritone.qat.benchmark import time_training

    times = time_training(rounds, model=model, batch=batch, threads=threads)
    rows = [(each.name, each.seconds, each.ratio) for each in times]
    Console(highlight=False).print(
        step_time_table(f"{model}, batch {batch}, threads {threads}", rows)
    )


@bench.command("sim")
def bench_sim_command(
    run: Annotated[
        Path | None,
        typer.Argument(help="run folder with a program; default: a convolution", metavar="[RUN]"),
    ] = None,
    images: Annotated[int, typer.Option("--images", min=1, help="images to run")] = 4,
    machine: Annotated[
        str, typer.Option("--machine", help="for the convolution: preset, or a .toml file")
    ] = "ecp5_85",
    build: BuildFolder = Path("build"),
) -> None:
    """Time a simulation: images and cycles a second, beside the bare C++ model of the machine."""
    from tritone.cli.tables import speed_table
    from tritone.compiler import compile_network, pack_images
    from tritone.spec.program import Program
    from tritone_sim.convolution import convolution_network, random_maps
    from tritone_sim.simulate import bare_model, load_test_set, machine_model
    from tritone_sim.speed import measure_speed
    from tritone_sim.toolchain import find_toolchain

    find_toolchain(waves=False)
    if run is None:
        network = convolution_network()
        program = compile_network(network, load_machine(machine))
        raw = random_maps(network, images)
    else:
        program = Program.load(require_path(run / "program.bin", f"tritone compile {run}"))
        raw = load_test_set(run / "graph" / "test.safetensors", images)["images"]
    with Console(stderr=True).status("building the simulators") as status:
        model = machine_model(program.machine, build=build)
        bare = bare_model(program.machine, build=build)
        status.update("simulating")
        folder = build / "bench" / program.machine.name
        parts = measure_speed(model, bare, program, pack_images(raw, program), folder)
    title = f"{program.metadata['network']} on {program.machine.name}"
    rows = [(each.name, each.images, each.cycles, each.seconds) for each in parts]
    Console(highlight=False).print(speed_table(title, rows))


@bench.command("toggles")
def bench_toggles_command(
    run: Annotated[Path, typer.Argument(help="run folder with a program", metavar="RUN")],
    images: Annotated[
        int, typer.Option("--images", min=2, help="images to run; the first does not count")
    ] = 9,
    results: Annotated[
        Path | None, typer.Option("--results", help="folder of the tables to add a row to")
    ] = None,
    command: Annotated[
        str | None, typer.Option("--command", help="of --results: the commands that made the run")
    ] = None,
    build: BuildFolder = Path("build"),
) -> None:
    """Count how often flip-flops change for an image, block by block: a proxy for power."""
    from tritone.cli.toggles import add_toggles, measure, toggles_table
    from tritone_sim.toolchain import find_toolchain

    if (results is None) != (command is None):
        raise ValueError("Bench must have both --results and --command, or neither")
    find_toolchain(waves=False)
    with Console(stderr=True).status("") as status:
        row = measure(run, images, build, status.update)
    console = Console(highlight=False)
    console.print(toggles_table(row))
    if results and command:
        table = add_toggles(row, results, command)
        console.print(f"table: {table} {table.with_suffix('.md')}", soft_wrap=True)


@bench.command("conv")
def bench_conv_command(
    machine: MachineName = "ecp5_85",
    maps: Annotated[int, typer.Option("--maps", min=1, help="maps of the steady state")] = 16,
    results: Annotated[
        Path | None, typer.Option("--results", help="folder of the tables to add a row to")
    ] = None,
    build: BuildFolder = Path("build"),
) -> int:
    """Run one convolution, 16 to 16 channels on 32x32, map after map through the machine's port."""
    from tritone.cli.results import add_convolution
    from tritone.cli.tables import convolution_table
    from tritone.compiler import compile_network
    from tritone_sim.convolution import convolution_network, measure_convolution
    from tritone_sim.simulate import machine_model
    from tritone_sim.toolchain import find_toolchain

    find_toolchain(waves=False)
    shape = load_machine(machine)
    compile_network(convolution_network(), shape)  # refused before the Verilog, which takes longer
    with Console(stderr=True).status("building the simulator") as status:
        model = machine_model(shape, build=build)
        row = measure_convolution(
            model,
            shape,
            maps,
            build / "bench" / shape.name,
            watch=lambda done: status.update(f"simulating: {done} maps done"),
        )
    console = Console(highlight=False)
    console.print(convolution_table(row))
    if row["mismatches"]:
        return FAILURE
    if results:
        command = f"tritone bench conv --machine {machine} --maps {maps} --results {results}"
        table = add_convolution(row, results, command)
        console.print(f"table: {table} {table.with_suffix('.md')}", soft_wrap=True)
    return 0


@bench.command("hw")
def bench_hw_command(
    machine: MachineName = "ecp5_25",
    bits: Annotated[int, typer.Option("--bits", help="of NNgen's accelerator: 4 or 8")] = 4,
    maps: Annotated[int, typer.Option("--maps", min=1, help="maps of the steady state")] = 16,
    target: Annotated[str, typer.Option("--target", help="device whose cells count")] = "xc7-a100t",
    results: Annotated[
        Path | None, typer.Option("--results", help="folder of the tables to add rows to")
    ] = None,
    build: BuildFolder = Path("build"),
) -> int:
    """Simulate and map one convolution's machine, ours and NNgen's: cycles, tables a lane, use."""
    from tritone.cli.peers import add_comparison, measure_ours, measure_peer
    from tritone.cli.tables import peer_table
    from tritone.spec.device import device
    from tritone_sim.toolchain import find_toolchain

    find_toolchain(waves=False)
    shape, where = load_machine(machine), device(target)
    with Console(stderr=True).status("") as status:
        rows = [
            measure_peer(bits, where, build, status.update),
            measure_ours(shape, maps, where, build, status.update),
        ]
    console = Console(highlight=False)
    console.print(peer_table(rows))
    if any(row["mismatches"] for row in rows):
        return FAILURE
    if results:
        command = (
            f"tritone bench hw --machine {machine} --bits {bits} --maps {maps} --target {target} "
            f"--results {results}"
        )
        table = add_comparison(rows, results, command)
        console.print(f"table: {table} {table.with_suffix('.md')}", soft_wrap=True)
    return 0


@bench.command("estimate")
def bench_estimate_command(
    target: Annotated[str, typer.Option("--target", help="device of the family")] = "ecp5-85k",
    results: Annotated[
        Path | None, typer.Option("--results", help="folder of the tables to write the rows to")
    ] = None,
) -> None:
    """Compare estimates with synthesis, on mapped machines that the estimate has not seen."""
    from tritone.cli.estimator_errors import error_rows, errors_table
    from tritone.cli.results import write_table
    from tritone.estimate.sweep_table import read_sweep
    from tritone.spec.device import device

    rows = error_rows(read_sweep(device(target).family))
    tables = {}
    if results:
        table = results / "estimator.json"
        write_table(table, rows)
        tables = {"table": table, "page": table.with_suffix(".md")}
    Console(highlight=False).print(errors_table(rows, tables))
