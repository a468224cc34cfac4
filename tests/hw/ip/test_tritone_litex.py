# SPDX-License-Identifier: Apache-2.0
"""A LiteX system on a chip with the machine in it elaborates to Verilog."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tritone.spec.axi import ADDRESS_BITS
from tritone_hw.axi import AXI_LITE, AXI_READ, AXI_WRITE

pytest.importorskip("litex", reason="needs the litex package")

# In a Python of its own: LiteX warns a lot, and keeps state in its modules.
SCRIPT = """
import sys
from pathlib import Path
from litex.build.generic_platform import GenericPlatform, Pins
from litex.soc.integration.soc_core import SoCMini
from migen import ClockDomain
from tritone_hw.ip.tritone_litex import add_to_soc

platform = GenericPlatform("device", [("clk", 0, Pins(1)), ("rst", 0, Pins(1))], name="board")
soc = SoCMini(platform, clk_freq=50_000_000)
soc.clock_domains.cd_sys = ClockDomain("sys")
soc.comb += [
    soc.cd_sys.clk.eq(platform.request("clk")),
    soc.cd_sys.rst.eq(platform.request("rst")),
]
add_to_soc(soc, platform, "tritone.v")
soc.finalize()
Path(sys.argv[1]).write_text(str(platform.get_verilog(soc)))
"""


def test_a_system(tmp_path: Path) -> None:
    """Every port of the machine is connected, and the registers lie where they were put."""
    (tmp_path / "tritone.v").write_text("module tritone; endmodule\n")
    out = tmp_path / "soc.v"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, out],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    instance = re.search(r"^tritone \w+\s*\((.*?)\);", out.read_text(), re.M | re.S)
    assert instance
    connected = set(re.findall(r"\.(\w+)\s*\(", instance[1]))
    expected = {"clk", "rst", "interrupt"}
    expected |= {f"s_axil_{name}" for name in AXI_LITE.members}
    expected |= {f"m_axi_{name}" for name in (*AXI_READ.members, *AXI_WRITE.members)}
    assert connected == expected
    assert ADDRESS_BITS == 32
