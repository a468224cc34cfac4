// SPDX-License-Identifier: Apache-2.0
// Resets the machine in Verilator and reads its version and fingerprint over AXI4-Lite: exits with 0
// when they are those of tritone.h. A start for a bench of one's own.

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "Vtritone.h"
#include "tritone.h"
#include "verilated.h"

namespace {

constexpr int kResetCycles = 4;
constexpr int kPatience = 100;  // cycles that the port may take for a handshake

void cycle(Vtritone& machine) {
    machine.clk = 0;
    machine.eval();
    machine.clk = 1;
    machine.eval();
}

// Goes on, cycle by cycle, until `ready` is high at a rising edge.
void wait_for(Vtritone& machine, const CData& ready) {
    for (int waited = 0; waited < kPatience; ++waited) {
        machine.clk = 0;
        machine.eval();
        const bool taken = ready;
        machine.clk = 1;
        machine.eval();
        if (taken) return;
    }
    std::fprintf(stderr, "the register port does not answer\n");
    std::exit(1);
}

uint32_t read_register(Vtritone& machine, uint32_t address) {
    machine.s_axil_araddr = address;
    machine.s_axil_arvalid = 1;
    wait_for(machine, machine.s_axil_arready);
    machine.s_axil_arvalid = 0;
    // The data stand before the edge that takes them.
    for (int waited = 0; !machine.s_axil_rvalid && waited < kPatience; ++waited) cycle(machine);
    const uint32_t value = machine.s_axil_rdata;
    machine.s_axil_rready = 1;
    wait_for(machine, machine.s_axil_rvalid);
    machine.s_axil_rready = 0;
    return value;
}

}  // namespace

int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vtritone machine{&context};

    // Other inputs are zero from the start: nothing is asked of the bus, and nothing answers there.
    machine.rst = 1;
    for (int count = 0; count < kResetCycles; ++count) cycle(machine);
    machine.rst = 0;

    const uint32_t version = read_register(machine, TRITONE_REG_VERSION);
    const uint64_t low = read_register(machine, TRITONE_REG_FINGERPRINT_LOW);
    const uint64_t high = read_register(machine, TRITONE_REG_FINGERPRINT_HIGH);
    machine.final();

    const uint64_t fingerprint = high << 32 | low;
    std::printf("instruction set %" PRIu32 ", fingerprint %016" PRIx64 "\n", version, fingerprint);
    if (version == TRITONE_ISA_VERSION && fingerprint == TRITONE_FINGERPRINT) return 0;
    std::fprintf(stderr, "tritone.h is that of instruction set %d, fingerprint %016" PRIx64 "\n",
                 TRITONE_ISA_VERSION, static_cast<uint64_t>(TRITONE_FINGERPRINT));
    return 1;
}
