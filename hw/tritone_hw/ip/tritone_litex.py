# SPDX-License-Identifier: Apache-2.0
"""Tritone in LiteX: its registers on the system's bus, its memory port as a master of that bus.

``add_to_soc(soc, platform, "rtl/tritone.v")`` adds both to a system on a chip, and the interrupt to
its processor. tritone_soc.py is such a system.
"""

from pathlib import Path

from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi
from litex.soc.interconnect.csr import AutoCSR
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, Module, ResetSignal, Signal

__all__ = ["Tritone", "add_to_soc"]

_PAGE = 0x1000


class Tritone(Module, AutoCSR):
    """The accelerator as an instance of its Verilog.

    ``bus`` is the AXI4-Lite subordinate with the registers, ``dma`` the AXI4 manager; addresses on
    both are bytes. ``interrupt`` is high while enabled and a run has ended, and the level of the
    event ``done`` of ``ev``.
    """

    def __init__(self, platform, verilog):
        self.bus = bus = axi.AXILiteInterface(data_width=32, address_width=32)
        self.dma = dma = axi.AXIInterface(data_width=64, address_width=32, id_width=4)
        self.interrupt = Signal()
        self.submodules.ev = EventManager()
        self.ev.done = EventSourceLevel()
        self.ev.finalize()
        self.comb += self.ev.done.trigger.eq(self.interrupt)
        ports = {
            "i_clk": ClockSignal("sys"),
            "i_rst": ResetSignal("sys"),
            "o_interrupt": self.interrupt,
        }
        lite = {
            "aw": (("addr", "awaddr", "i"), ("prot", "awprot", "i")),
            "w": (("data", "wdata", "i"), ("strb", "wstrb", "i")),
            "b": (("resp", "bresp", "o"),),
            "ar": (("addr", "araddr", "i"), ("prot", "arprot", "i")),
            "r": (("data", "rdata", "o"), ("resp", "rresp", "o")),
        }
        address = ("addr", "burst", "cache", "id", "len", "lock", "prot", "size")
        full = {
            "aw": tuple((name, f"aw{name}", "o") for name in address),
            "w": (("data", "wdata", "o"), ("strb", "wstrb", "o"), ("last", "wlast", "o")),
            "b": (("resp", "bresp", "i"), ("id", "bid", "i")),
            "ar": tuple((name, f"ar{name}", "o") for name in address),
            "r": tuple((name, f"r{name}", "i") for name in ("data", "resp", "id", "last")),
        }
        for prefix, interface, channels in (("s_axil", bus, lite), ("m_axi", dma, full)):
            for channel, signals in channels.items():
                endpoint = getattr(interface, channel)
                for attribute, port, direction in signals:
                    if not hasattr(endpoint, attribute):
                        continue  # AXI4-Lite of LiteX has no protection bits in some releases
                    ports[f"{direction}_{prefix}_{port}"] = getattr(endpoint, attribute)
                direction = signals[0][2]
                back = {"i": "o", "o": "i"}[direction]
                ports[f"{direction}_{prefix}_{channel}valid"] = endpoint.valid
                ports[f"{back}_{prefix}_{channel}ready"] = endpoint.ready
        if "i_s_axil_awprot" not in ports:
            ports |= {"i_s_axil_awprot": 0, "i_s_axil_arprot": 0}
        self.specials += Instance("tritone", **ports)
        platform.add_source(str(Path(verilog).resolve()))


def add_to_soc(soc, platform, verilog, name="tritone", origin=0x9000_0000):
    """Add the accelerator to a LiteX SoC: registers at ``origin``, its memory port as a master.

    Its interrupt goes to the processor, if there is one that takes interrupts.
    """
    core = Tritone(platform, verilog)
    setattr(soc.submodules, name, core)
    soc.bus.add_slave(name, core.bus, SoCRegion(origin=origin, size=_PAGE, cached=False))
    soc.bus.add_master(f"{name}_dma", master=core.dma)
    if soc.irq.enabled:
        soc.irq.add(name)
    return core
