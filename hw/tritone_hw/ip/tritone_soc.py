# SPDX-License-Identifier: Apache-2.0
"""A system on a chip with the accelerator in it: a PicoRV32, a serial port, memory that both reach.

``pip install litex pythondata-cpu-picorv32``, then ``python tritone_soc.py soc.v`` writes its
Verilog. For a board take its platform and its clock from litex-boards, and LiteX's Builder, which
compiles the processor's software, too.
"""

import sys
from pathlib import Path

from litex.build.generic_platform import GenericPlatform, Pins, Subsignal
from litex.soc.integration.soc_core import SoCCore
from migen import ClockDomain
from tritone_litex import add_to_soc

__all__ = ["TritoneSoC"]

_VERILOG = Path(__file__).resolve().parents[1] / "rtl" / "tritone.v"
_PORTS = [
    ("clk", 0, Pins(1)),
    ("rst", 0, Pins(1)),
    ("serial", 0, Subsignal("tx", Pins(1)), Subsignal("rx", Pins(1))),
]


class TritoneSoC(SoCCore):
    """The system. The driver in software/ runs on its processor.

    Program, images and results lie in ``main_ram``; the interrupt is that of ``tritone`` in LiteX's
    csr.h, enabled and acknowledged by its event ``done`` behind ``tritone_acknowledge``.
    """

    def __init__(self, platform, verilog=_VERILOG, clk_freq=50_000_000):
        super().__init__(
            platform,
            clk_freq,
            cpu_type="picorv32",
            integrated_rom_size=32 << 10,
            integrated_main_ram_size=64 << 10,
        )
        self.clock_domains.cd_sys = ClockDomain("sys")
        self.comb += [
            self.cd_sys.clk.eq(platform.request("clk")),
            self.cd_sys.rst.eq(platform.request("rst")),
        ]
        add_to_soc(self, platform, verilog)


if __name__ == "__main__":
    platform = GenericPlatform("device", _PORTS, name="board")
    soc = TritoneSoC(platform)
    soc.finalize()
    Path(sys.argv[1]).write_text(str(platform.get_verilog(soc)), encoding="utf-8")
