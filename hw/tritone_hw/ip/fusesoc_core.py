# SPDX-License-Identifier: Apache-2.0
"""The machine as a core of FuseSoC (CAPI2)."""

from __future__ import annotations

import json

__all__ = ["fusesoc_core"]

# Amaranth's way of writing widths and processes, which none of these warnings is right about.
_EXEMPT = ("PROCASSINIT", "UNUSEDSIGNAL", "WIDTHEXPAND", "WIDTHTRUNC", "DECLFILENAME")


def fusesoc_core(name: str, top: str) -> str:
    """Return the core file.

    Targets: ``default`` for other cores that depend on this one, whose top names the clock, so that
    no constraints come along; ``lint`` with Verilator; ``sim``, in which Verilator runs main.cpp.

    Parameters
    ----------
    name : vendor:library:name:version.
    top : top module.
    """
    options = ["-Wall", *(f"-Wno-{warning}" for warning in _EXEMPT)]
    bench = [
        {"sim/main.cpp": {"file_type": "cppSource"}},
        {"software/tritone.h": {"file_type": "cppSource", "is_include_file": True}},
    ]
    core = {
        "name": name,
        "description": "Convolution accelerator for weights of powers of sqrt(2)",
        "filesets": {
            "rtl": {"files": ["rtl/tritone.v"], "file_type": "verilogSource"},
            "bench": {"files": bench},
        },
        "targets": {
            "default": {"filesets": ["rtl"]},
            "lint": {
                "flow": "lint",
                "flow_options": {"tool": "verilator", "verilator_options": options},
                "filesets": ["rtl"],
                "toplevel": top,
            },
            "sim": {
                "flow": "sim",
                "flow_options": {
                    "tool": "verilator",
                    "mode": "cc",
                    "verilator_options": [*options, "-Wno-fatal"],
                },
                "filesets": ["rtl", "bench"],
                "toplevel": top,
            },
        },
    }
    # JSON is YAML.
    return "CAPI=2:\n# SPDX-License-Identifier: Apache-2.0\n" + json.dumps(core, indent=2) + "\n"
