# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.bench: the whole machine on its buses, disturbed and undisturbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritone.compiler import predict
from tritone.spec.isa import (
    CHECK,
    HEADER,
    INSTRUCTION_BEATS,
    INSTRUCTION_BITS,
    LOAD,
    Base,
    Opcode,
)
from tritone.spec.regmap import ErrorCode, Status
from tritone_sim.execution import execute
from tritone_sim.job import Channel, Direction, Fault, Job, Outcome, Pass, Stall
from tritone_sim.verification import program_job

INSTRUCTION_BYTES = INSTRUCTION_BITS // 8
ALL = Pass(first=0, images=3)


def play(workload: Any, folder: Path, passes: Sequence[Pass], **changes: Any) -> list[Outcome]:
    """Run the passes; ``changes`` go into the job."""
    job = program_job(workload.program, workload.packed, passes)
    return execute(workload.model, replace(job, **changes), folder)


def place(workload: Any, passes: Sequence[Pass]) -> Any:
    """Return where things lie in external memory."""
    return program_job(workload.program, workload.packed, passes).memory_map


def assert_right(outcome: Outcome, workload: Any, each: Pass = ALL) -> None:
    """The machine ended well and wrote what the golden machine did."""
    assert (outcome.status, outcome.error) == (Status.DONE, ErrorCode.NONE)
    assert outcome.images_done == each.images
    chosen = slice(each.first, each.first + each.images)
    assert outcome.results == b"".join(workload.results[chosen])
    if each.dump:
        assert outcome.dumps == b"".join(workload.dumps[chosen])


def assert_stopped(outcome: Outcome, error: ErrorCode) -> None:
    """The machine stopped with an error and told the host by interrupt."""
    assert (outcome.status, outcome.error) == (Status.ERROR, error)


def test_any_image_may_be_the_first(workload: Any, folder: Path) -> None:
    """One image in the middle; then all; then one again: nothing stays from the pass before."""
    passes = [Pass(first=1, images=1, dump=True), ALL, Pass(first=2, images=1)]
    for outcome, each in zip(play(workload, folder, passes), passes, strict=True):
        assert_right(outcome, workload, each)


def test_counters_start_anew_and_repeat(workload: Any, folder: Path) -> None:
    """The same work takes the same cycles and beats; beats are those of the bytes moved.

    Weights of a codebook of several passes are read once for each, with other tables.
    """
    first, second = play(workload, folder, [ALL, ALL])
    for name in ("cycles", "array_cycles", "read_beats", "write_beats"):
        assert getattr(first, name) == getattr(second, name)
    payload, count = workload.program.payload, workload.program.instructions
    words = [
        int.from_bytes(payload[at : at + INSTRUCTION_BYTES], "little")
        for at in range(0, count * INSTRUCTION_BYTES, INSTRUCTION_BYTES)
    ]
    header = (1 << HEADER.used_bits) - 1
    codes = [HEADER.unpack(word & header)["opcode"] for word in words]
    loads = [
        LOAD.unpack(word) for word, code in zip(words, codes, strict=True) if code == Opcode.LOAD
    ]
    constants = sum(load["beats"] for load in loads if load["source"] == Base.PROGRAM)
    images = len(workload.packed) // 8
    assert first.read_beats == count * INSTRUCTION_BEATS + constants + images
    assert 8 * first.write_beats == sum(len(result) for result in workload.results)


@pytest.mark.parametrize("probability", [0.2, 0.7])
def test_stalls_change_nothing_but_time(probability: float, workload: Any, folder: Path) -> None:
    """Random pauses on all channels of both buses; the host checks that nothing moves meanwhile."""
    disturbed = [
        Pass(first=0, images=2, dump=dump, stall=Stall(probability=probability, seed=seed))
        for seed, dump in enumerate((True, False))
    ]
    quiet = Pass(first=0, images=2)
    *stalled, free = play(workload, folder, [*disturbed, quiet])
    for outcome, each in zip(stalled, disturbed, strict=True):
        assert_right(outcome, workload, each)
        assert outcome.cycles > free.cycles
    assert_right(free, workload, quiet)


@pytest.mark.parametrize("channel", Channel)
def test_one_channel_that_stalls_changes_nothing_but_time(
    channel: Channel, workload: Any, folder: Path
) -> None:
    """Back-pressure or latency of one channel alone: the others run ahead as far as they may.

    Data that come late leave requests open, and requests are made meanwhile.
    """
    stall = Stall(probability=0.8, seed=10, only=channel)
    stalled, free = play(workload, folder, [replace(ALL, stall=stall), ALL])
    assert_right(stalled, workload)
    assert_right(free, workload)
    assert stalled.cycles > free.cycles
    assert stalled.open_reads > (channel is Channel.R)


def test_reset_under_way_on_a_bus_that_stalls(workload: Any, folder: Path) -> None:
    """In the middle of bursts that wait; what runs next is right and takes its usual cycles."""
    stall = Stall(probability=0.7, seed=8)
    interrupted = [
        replace(ALL, dump=True, stall=stall, reset_after=cycles) for cycles in (57, 911, 4099)
    ]
    *stopped, right, again = play(workload, folder, [*interrupted, ALL, ALL])
    assert all(outcome.status == outcome.cycles == 0 for outcome in stopped)
    assert_right(right, workload)
    assert right.cycles == again.cycles == predict(workload.program, ALL.images).cycles


@pytest.mark.parametrize(
    ("direction", "region", "offset", "error"),
    [
        (Direction.READ, "program", 0, ErrorCode.READ_ERROR),  # the first instruction
        (Direction.READ, "program", -8, ErrorCode.READ_ERROR),  # the end of what LOADs read
        (Direction.READ, "images", 64, ErrorCode.READ_ERROR),  # the second image
        (Direction.WRITE, "results", 0, ErrorCode.WRITE_ERROR),
        (Direction.WRITE, "dumps", 8, ErrorCode.WRITE_ERROR),
    ],
)
def test_a_bus_error_stops_with_its_code(
    direction: Direction, region: str, offset: int, error: ErrorCode, workload: Any, folder: Path
) -> None:
    """The next start, without the fault, is right again."""
    again = replace(ALL, dump=True)
    address = getattr(place(workload, [again, again]), region) + offset
    if offset < 0:
        address += len(workload.program.payload)
    fault = Fault(direction=direction, address=address, size=8)
    failed, right = play(workload, folder, [replace(again, fault=fault), again])
    assert_stopped(failed, error)
    assert failed.images_done < ALL.images
    assert_right(right, workload, again)


@pytest.mark.parametrize("cycles", [3, 100, 1000, 5000])
def test_reset_at_any_time_leaves_a_machine_that_works(
    cycles: int, workload: Any, folder: Path
) -> None:
    """While the program is fetched, while data are loaded, within layers."""
    interrupted = Pass(first=0, images=3, dump=True, reset_after=cycles)
    stopped, right = play(workload, folder, [interrupted, ALL])
    assert stopped.status == 0
    assert stopped.images_done == stopped.cycles == 0
    assert_right(right, workload)


def test_a_program_for_another_machine_is_refused(workload: Any, folder: Path) -> None:
    """One bit of the fingerprint in the first instruction is enough."""
    payload = workload.program.payload
    check = CHECK.unpack(int.from_bytes(payload[:INSTRUCTION_BYTES], "little"))
    assert check["fingerprint"] == workload.program.machine.fingerprint
    changed = CHECK.pack({**check, "fingerprint": check["fingerprint"] ^ 1})
    payload = changed.to_bytes(INSTRUCTION_BYTES, "little") + payload[INSTRUCTION_BYTES:]
    (outcome,) = play(workload, folder, [ALL], payload=payload)
    assert_stopped(outcome, ErrorCode.FINGERPRINT_MISMATCH)
    assert outcome.instruction == 0
    assert outcome.fingerprint == workload.program.machine.fingerprint


def test_an_illegal_instruction_is_named_by_its_index(workload: Any, folder: Path) -> None:
    """Cleared memory is one, in the place of the third instruction."""
    payload = bytearray(workload.program.payload)
    payload[2 * INSTRUCTION_BYTES : 3 * INSTRUCTION_BYTES] = bytes(INSTRUCTION_BYTES)
    (outcome,) = play(workload, folder, [ALL], payload=bytes(payload))
    assert_stopped(outcome, ErrorCode.ILLEGAL_INSTRUCTION)
    assert outcome.instruction == 2


def test_a_program_without_its_end_is_illegal(workload: Any, folder: Path) -> None:
    """NEXT is the last instruction; without it the program runs off its end."""
    instructions = workload.program.instructions - 1
    (outcome,) = play(workload, folder, [ALL], instructions=instructions)
    assert_stopped(outcome, ErrorCode.ILLEGAL_INSTRUCTION)


@pytest.mark.parametrize("excess", [None, 1])
def test_a_program_that_does_not_fit_is_refused(
    excess: int | None, workload: Any, folder: Path
) -> None:
    """No instruction at all, or one more than instruction memory holds."""
    most = workload.program.machine.instruction_words // INSTRUCTION_BEATS
    instructions = 0 if excess is None else most + excess
    (outcome,) = play(workload, folder, [ALL], instructions=instructions)
    assert_stopped(outcome, ErrorCode.PROGRAM_TOO_LONG)


def test_write_backs_are_timed_in_order(workload: Any, folder: Path) -> None:
    """With dumps every write-back has its cycle since reset; without, none is watched."""
    dumped, free = play(workload, folder, [replace(ALL, dump=True), ALL])
    cycles = list(dumped.write_backs)
    assert cycles == sorted(set(cycles))
    assert 0 < cycles[0] < cycles[-1] <= dumped.cycles + 200  # the registers were written before
    assert not free.write_backs


def test_a_machine_that_hangs_is_given_up(workload: Any, folder: Path) -> None:
    """No image ends within a hundred cycles, which stands for never."""
    job: Job = replace(program_job(workload.program, workload.packed, [ALL]), hang_cycles=100)
    message = r"(?s)Machine must finish an image in 100 cycles, not hang at instruction \d+"
    with pytest.raises(RuntimeError, match=message):
        execute(workload.model, job, folder)
