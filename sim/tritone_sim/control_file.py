# SPDX-License-Identifier: Apache-2.0
"""The Verilator control file that decides which signals a bench can reach.

cocotb's default makes every signal public, which costs a factor of four in speed: Verilator can
then neither merge nor drop any. Only the ports of the top module and a few probes are public here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Probe", "control_file", "ports"]


@dataclass(frozen=True)
class Probe:
    """A signal inside the design that a bench may read.

    Parameters
    ----------
    instances : path of instances below the top module.
    signal : its name there.
    """

    instances: tuple[str, ...]
    signal: str

    def module(self, top: str) -> str:
        """Return the name that Amaranth gives to the module of the instance."""
        return ".".join((top, *self.instances))


def ports(verilog: str, top: str) -> list[str]:
    """Return the ports of the module ``top`` in the order of its header.

    Raises
    ------
    ValueError : there is no such module.
    """
    header = re.search(rf"^module {re.escape(top)}\s*\(([^)]*)\)", verilog, re.MULTILINE)
    if header is None:
        raise ValueError(f"Verilog must hold the module {top}")
    return [name.strip() for name in header[1].split(",") if name.strip()]


def control_file(verilog: str, top: str, probes: tuple[Probe, ...]) -> str:
    """Return the text of the control file.

    Raises
    ------
    ValueError : the top module or a probe is not in the design.
    """
    lines = ["`verilator_config"]
    lines += [f'public_flat_rw -module "{top}" -var "{port}"' for port in ports(verilog, top)]
    for probe in probes:
        module = probe.module(top)
        body = re.search(
            rf"^module \\{re.escape(module)} .*?^endmodule", verilog, re.MULTILINE | re.DOTALL
        )
        if body is None or not re.search(rf"\b{re.escape(probe.signal)}\b", body[0]):
            raise ValueError(f"Verilog must hold the signal {probe.signal} in the module {module}")
        lines.append(f'public_flat_rd -module "{module}" -var "{probe.signal}"')
    return "\n".join(lines) + "\n"
