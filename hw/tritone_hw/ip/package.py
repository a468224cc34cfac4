# SPDX-License-Identifier: Apache-2.0
"""Writes a folder from which other tools take the machine."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

from tritone import __version__
from tritone.spec.machine import MachineConfig
from tritone.spec.regmap import REGISTER_BYTES, REGISTERS
from tritone.spec.render import c_header
from tritone.spec.storage import write_atomically
from tritone_hw.emit import TOP, emit_verilog
from tritone_hw.ip.fusesoc_core import fusesoc_core
from tritone_hw.ip.pynq_driver import pynq_driver
from tritone_hw.ip.vivado import vivado_script
from tritone_hw.platform.target import Target

__all__ = ["write_ip"]

# Written as they are.
_COPIED = {
    "software/tritone_driver.h": "tritone_driver.h",
    "software/tritone_driver.c": "tritone_driver.c",
    "litex/tritone_litex.py": "tritone_litex.py",
    "litex/tritone_soc.py": "tritone_soc.py",
    "sim/main.cpp": "main.cpp",
}

_README = """\
# {name}, an accelerator made by Tritone {version}

{rows} rows, {columns} columns, {pixels} pixels; fingerprint {fingerprint:016x}. Generated, do not
edit: `tritone ip --machine {name}`.

| | |
|---|---|
| `rtl/tritone.v` | the machine, top module `{top}`, for any device and for simulation |
{cells}| `vivado/package_ip.tcl` | `vivado -mode batch -source package_ip.tcl`: IP of `{packaged}` |
| `tritone.core` | FuseSoC: `fusesoc --cores-root . run --target sim {core}`, or `lint` |
| `sim/main.cpp` | what the target `sim` runs in Verilator: version and fingerprint over AXI4-Lite |
| `litex/tritone_litex.py` | a LiteX module: registers, memory port, interrupt |
| `litex/tritone_soc.py` | a system on a chip with it, a processor and memory that both reach |
| `constraints/` | a clock of {mhz} MHz as SDC, XDC and LPF |
| `software/tritone.h` | registers, instructions, container of a program |
| `software/tritone_driver.*` | a driver in C99 for a processor without an operating system |
| `software/tritone_pynq.py` | a driver in Python 3.8, for boards with PYNQ |

Ports: clk, rst (synchronous, active high), s_axil_* (AXI4-Lite, 32 bits), m_axi_* (AXI4, 64 bits),
interrupt (high while enabled and a run has ended).
"""


def write_ip(
    machine: MachineConfig,
    folder: Path,
    *,
    mhz: float = 100.0,
    part: str = "xc7z020clg400-1",
    target: Target | None = None,
) -> list[Path]:
    """Write everything into ``folder`` and return the files.

    The portable form is always there, since simulators know it; a vendor's tool gets that with its
    cells.

    Parameters
    ----------
    machine : what to package.
    folder : is made; files of the same names are replaced.
    mhz : clock of the constraints.
    part : the device of the Vivado project; the IP itself is for the whole family.
    target : whose cells the array is made of; None: those of 7 series where the part is one.

    Raises
    ------
    ValueError : the clock is not positive, or the part has characters that no part has.
    """
    if not 0 < mhz < 1000:
        raise ValueError(f"Clock must be between 0 and 1000 MHz, not {mhz:g}")
    if not part.replace("-", "").isalnum():
        raise ValueError(f"Part must be letters, digits and -, not {part!r}")
    if target is None:
        target = Target.XC7 if part.lower().startswith(Target.XC7.value) else Target.PORTABLE
    cells = f"tritone_{target.value}.v"
    packaged = cells if target is Target.XC7 else "tritone.v"
    period_ns = 1000 / mhz
    registers = [(each.name, each.address, each.access.value, each.doc) for each in REGISTERS]
    core = f"tritone:accelerator:{machine.name}:{__version__}"
    texts: dict[str, Callable[[], str]] = {
        "rtl/tritone.v": lambda: emit_verilog(machine),
        "software/tritone_pynq.py": pynq_driver,
        "software/tritone.h": lambda: c_header(machine),
        "vivado/package_ip.tcl": lambda: vivado_script(
            packaged, TOP, machine.name, __version__, part, registers, REGISTER_BYTES
        ),
        "tritone.core": lambda: fusesoc_core(core, TOP),
        "constraints/tritone.sdc": lambda: _clock(period_ns),
        "constraints/tritone.xdc": lambda: _clock(period_ns),
        "constraints/tritone.lpf": lambda: f'FREQUENCY PORT "clk" {mhz:g} MHZ;\n',
        "README.md": lambda: _README.format(
            name=machine.name,
            version=__version__,
            rows=machine.rows,
            columns=machine.columns,
            pixels=machine.pixels,
            fingerprint=machine.fingerprint,
            top=TOP,
            cells=(
                ""
                if target is Target.PORTABLE
                else f"| `rtl/{cells}` | the same, its array in cells of {target.value} |\n"
            ),
            core=core,
            mhz=f"{mhz:g}",
            packaged=packaged,
        ),
    }
    if target is not Target.PORTABLE:
        texts[f"rtl/{cells}"] = lambda: emit_verilog(machine, target)
    for name, source in _COPIED.items():
        held = resources.files(__package__).joinpath(source).read_text(encoding="utf-8")
        texts[name] = lambda held=held: held
    paths = []
    for name, text in texts.items():
        path = folder / name
        write_atomically(path, text().encode())
        paths.append(path)
    return paths


def _clock(period_ns: float) -> str:
    """Return the clock in the language that SDC and XDC share."""
    return f"create_clock -name clk -period {period_ns:.3f} [get_ports clk]\n"
