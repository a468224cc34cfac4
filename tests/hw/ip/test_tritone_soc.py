# SPDX-License-Identifier: Apache-2.0
"""The system on a chip with the machine in it, as it is shipped, elaborates to Verilog."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tritone_hw.ip
from tritone.spec.axi import ADDRESS_BITS
from tritone_hw.axi import AXI_LITE, AXI_READ, AXI_WRITE

pytest.importorskip("litex", reason="needs the litex package")
pytest.importorskip("pythondata_cpu_picorv32", reason="needs the pythondata-cpu-picorv32 package")

# In a Python of its own: LiteX warns a lot, and keeps state in its modules. A script's folder is
# first on its path.
SCRIPT = """
import json, runpy, sys
sys.path.insert(0, "litex")
soc = runpy.run_path("litex/tritone_soc.py", run_name="__main__")["soc"]
found = {
    "masters": sorted(soc.bus.masters),
    "regions": {name: [region.origin, region.size] for name, region in soc.bus.regions.items()},
    "interrupt": soc.irq.locs["tritone"],
}
print()
print(json.dumps(found))
"""


def test_a_system(tmp_path: Path) -> None:
    """Every port of the machine is connected; its memory port reaches what the processor reaches.

    The interrupt sets a bit of the processor's.
    """
    for name in ("tritone_soc.py", "tritone_litex.py"):
        (tmp_path / "litex").mkdir(exist_ok=True)
        shutil.copy(Path(tritone_hw.ip.__file__).with_name(name), tmp_path / "litex")
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "tritone.v").write_text("module tritone; endmodule\n")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "soc.v"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["masters"] == ["cpu_bus0", "tritone_dma"]
    assert found["regions"]["main_ram"] == [0x4000_0000, 64 << 10]
    assert found["regions"]["tritone"] == [0x9000_0000, 4 << 10]

    verilog = (tmp_path / "soc.v").read_text()
    instance = re.search(r"^tritone \w+\s*\((.*?)\);", verilog, re.M | re.S)
    assert instance
    connected = dict(re.findall(r"\.(\w+)\s*\(([^)]*)\)", instance[1]))
    expected = {"clk", "rst", "interrupt"}
    expected |= {f"s_axil_{name}" for name in AXI_LITE.members}
    expected |= {f"m_axi_{name}" for name in (*AXI_READ.members, *AXI_WRITE.members)}
    assert set(connected) == expected
    assert ADDRESS_BITS == 32

    # From the pin through status and enable of its event to the processor.
    reached = {connected["interrupt"]}
    assignments = re.findall(r"^\s*(?:assign )?(\S+) <?= ([^;]*);", verilog, re.M)
    while more := {
        target
        for target, value in assignments
        if target not in reached and reached & set(re.findall(r"\w+", value))
    }:
        reached |= more
    assert f"tritonesoc_picorv32_interrupt[{found['interrupt']}]" in reached
