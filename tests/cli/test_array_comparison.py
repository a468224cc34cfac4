# SPDX-License-Identifier: Apache-2.0
"""Arrays side by side: what placements give, which is smaller, what is trained."""

from __future__ import annotations

from typing import Any

from tritone.cli.array_comparison import compare_arrays, comparison_lines, is_compared


def row(machine: str, codebook: str, sites: float, **more: Any) -> dict[str, Any]:
    """Return a row of hardware.json."""
    common = {"kind": "array", "device": "ecp5-85k", "macs_per_cycle": 128, "ff": 256}
    held = {"machine": machine, "codebook": codebook, "sites_per_mac": sites, "fmax_mhz": None}
    return common | held | more


def training(codebook: str, top1: float, **more: Any) -> dict[str, Any]:
    """Return a row of cifar10.json."""
    common = {"model": "resnet20", "weight_bits": 4, "act_bits": 4, "estimator": "ste"}
    held = {"activations": "lsq", "multipliers": "integer", "epochs": 12, "top1_frozen": top1}
    return common | held | {"codebook": codebook} | more


ROWS = [
    row("post 16x8x1", "post4", 33.0, fmax_mhz=230.0),
    row("post 16x8x1", "post4", 32.0, fmax_mhz=250.0),
    row("post 16x8x1", "post4", 34.0, fmax_mhz=234.0),
    row("post 16x8x1", "post4", 20.0, device="xc7-7z020", ff=384),
    row("plane 16x8x1", "int4", 27.5, fmax_mhz=200.0),
    row("plane 16x8x1", "int4", 22.0, device="xc7-7z020"),
    row("FINN", "int W4A4", 26.3, device="xc7"),
]


def test_figures() -> None:
    """Mean sites, median clock, and the longest training of that codebook alone."""
    trained = [
        training("post4", 91.0),
        training("post4", 92.0),
        training("post4", 10.0, epochs=3),
        training("post4", 11.0, activations="asq"),
        training("post4", 12.0, act_bits=3),
        training("post4", 13.0, epochs_exact=2),
    ]
    plane, post = compare_arrays(ROWS, trained)
    assert (plane.machine, plane.sites, plane.luts) == ("plane 16x8x1", (27.5,), 22.0)
    assert (plane.top1, plane.epochs) == (None, None)
    assert (post.mean_sites, post.median_clock, post.ff) == (33.0, 234.0, 2.0)
    assert (post.luts, post.mapped_ff) == (20.0, 3.0)
    assert (post.top1, post.epochs) == (91.5, 12)
    assert not is_compared(ROWS[-1])


def test_the_page_says_which_is_smaller() -> None:
    """On one family the planes are, on the other nothing is."""
    lines = comparison_lines(compare_arrays(ROWS, []))
    assert (
        "| plane 16x8x1 | int4 | 27.50 | 0.83 | 2.00 | 200 / 200 / 200 | 22.00 | 1.10 | 2.00 | - |"
        in lines
    )
    assert (
        "| post 16x8x1 | post4 | 33.00 | 1.00 | 2.00 | 230 / 234 / 250 | 20.00 | 1.00 | 3.00 | - |"
        in lines
    )
    assert lines[-3:] == [
        "- Smaller than post 16x8x1 on ECP5: plane 16x8x1 (16.7 % less).",
        "- Smaller than post 16x8x1 on 7 series: none.",
        "",
    ]
