# SPDX-License-Identifier: Apache-2.0
"""The machine as a core of FuseSoC (CAPI2)."""

from __future__ import annotations

import json

__all__ = ["fusesoc_core"]

# Amaranth's way of writing widths and processes, which none of these warnings is right about.
_EXEMPT = ("PROCASSINIT", "UNUSEDSIGNAL", "WIDTHEXPAND", "WIDTHTRUNC", "DECLFILENAME")


def fusesoc_core(name: str, top: str) -> str:
    """Return the core file.

    Targets: ``default`` for other cores that depend on this one; ``lint`` with Verilator;
    ``model``, compiled to C++ by Verilator for a bench of one's own.

    Parameters
    ----------
    name : vendor:library:name:version.
    top : top module.
    """
    options = ["-Wall", *(f"-Wno-{warning}" for warning in _EXEMPT)]
    core = {
        "name": name,
        "description": "Convolution accelerator for weights of powers of sqrt(2)",
        "filesets": {
            "rtl": {"files": ["rtl/tritone.v"], "file_type": "verilogSource"},
            "xdc": {"files": ["constraints/tritone.xdc"], "file_type": "xdc"},
            "sdc": {"files": ["constraints/tritone.sdc"], "file_type": "SDC"},
        },
        "targets": {
            "default": {"filesets": ["rtl"]},
            "lint": {
                "default_tool": "verilator",
                "filesets": ["rtl"],
                "toplevel": top,
                "tools": {"verilator": {"mode": "lint-only", "verilator_options": options}},
            },
            "model": {
                "default_tool": "verilator",
                "filesets": ["rtl"],
                "toplevel": top,
                "tools": {
                    "verilator": {"mode": "cc", "verilator_options": [*options, "-Wno-fatal"]}
                },
            },
        },
    }
    # JSON is YAML.
    return "CAPI=2:\n# SPDX-License-Identifier: Apache-2.0\n" + json.dumps(core, indent=2) + "\n"
