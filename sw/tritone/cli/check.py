# SPDX-License-Identifier: Apache-2.0
"""``tritone check``: the frozen model of a run against the golden model, on the whole test set."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from safetensors import SafetensorError

from tritone.golden.agreement import compare_layers, compare_logits
from tritone.graph import Network
from tritone.spec.storage import write_json

__all__ = ["REPORT", "check_run", "read_check", "require_agreement"]

REPORT = "check.json"

# Images whose every tensor goes through the slow model too.
SAMPLE = 4


def _files(run: Path) -> tuple[Path, Path, Path]:
    """Return the files that a check is about."""
    graph = run / "graph"
    return graph / "network.json", graph / "weights.safetensors", graph / "test.safetensors"


def _digest(run: Path) -> str:
    """Return the SHA-256 of an exported graph and its test set."""
    digest = hashlib.sha256()
    for path in _files(run):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _load_test_set(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        held: dict[str, npt.NDArray[Any]] = safetensors.numpy.load_file(path)
    except SafetensorError as error:
        raise ValueError(f"Test set {path} must be a safetensors file: {error}") from error
    return held


def read_check(run: Path) -> dict[str, Any] | None:
    """Return the check.json of a run, None where there is none of the graph that is there now."""
    path = run / REPORT
    if not path.is_file() or not all(file.is_file() for file in _files(run)):
        return None
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report if report["graph_sha256"] == _digest(run) else None


def require_agreement(run: Path, report: Mapping[str, Any]) -> None:
    """Raise ValueError if the check.json of ``run`` has mismatches."""
    if report["mismatches"]:
        raise ValueError(
            f"Run {run} must have no mismatches of frozen and golden model, "
            f"not {report['mismatches']}"
        )


def check_run(run: Path, console: Console | None = None) -> dict[str, Any]:
    """Compare every logit of RUN/graph/test.safetensors with golden's; write run/check.json.

    Every tensor of the first images goes through the slow golden model, too.

    Parameters
    ----------
    run : folder that was exported.
    console : where progress is shown; the standard error by default.

    Returns
    -------
    dict : what check.json holds. ``golden_equal`` images of ``images`` have all logits equal;
        ``mismatches`` counts the values that differ in either comparison.

    Raises
    ------
    FileNotFoundError : the run is not exported.
    ValueError : a file is damaged or of another network.
    """
    for path in _files(run):
        if not path.is_file():
            raise FileNotFoundError(f"{path} must be there; make it with: tritone export {run}")
    network, test = Network.load(run / "graph"), _load_test_set(_files(run)[-1])
    images, labels = test["images"], test["labels"]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console or Console(stderr=True)) as progress:
        task = progress.add_task("golden model", total=len(images))
        began = time.perf_counter()
        found = compare_logits(
            network, images, test["logits"], lambda done: progress.update(task, completed=done)
        )
        seconds = time.perf_counter() - began
    sample = compare_layers(network, images[:SAMPLE])
    report = {
        "network": network.name,
        "graph_sha256": _digest(run),
        "images": found.images,
        "golden_equal": found.equal,
        "logits": found.logits,
        "first_differing_image": found.first,
        "sampled_images": sample.images,
        "sampled_values": sample.values,
        "first_differing_tensor": sample.tensor,
        "mismatches": found.mismatches + sample.mismatches,
        "top1": 100 * float(np.mean(found.logits_of.argmax(axis=1) == labels)),
        "seconds": round(seconds, 2),
        "images_per_second": round(found.images / seconds, 1),
    }
    write_json(run / REPORT, report)
    return report
