// SPDX-License-Identifier: Apache-2.0
// The machine's Verilog with nothing around it but a host and an external memory: how fast a
// simulation is without cocotb. Each clock cycle is two evaluations.
//
// arguments: payload, images, results (files); program, image and result address; bytes of memory;
// instructions; images; bytes of a result; cycles until a run counts as hung. Prints JSON.

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "Vtop.h"
#include "machine.h"
#include "verilated.h"

namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint64_t kBeatBytes = 8;
constexpr int kResetCycles = 4;

[[noreturn]] void fail(const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::exit(1);
}

// A memory that gives and takes a beat a cycle; the latencies are those of the bench's AxiRam.
class Memory {
  public:
    Memory(Vtop& top, uint64_t size) : top_(top), bytes_(size) {}

    Bytes& bytes() { return bytes_; }

    // What is taken over at the rising edge that follows; the ports have settled.
    void sample() {
        read_request_ = top_.m_axi_arvalid && top_.m_axi_arready;
        read_taken_ = top_.m_axi_rvalid && top_.m_axi_rready;
        write_request_ = top_.m_axi_awvalid && top_.m_axi_awready;
        write_taken_ = top_.m_axi_wvalid && top_.m_axi_wready;
        answer_taken_ = top_.m_axi_bvalid && top_.m_axi_bready;
        read_address_ = top_.m_axi_araddr;
        read_beats_ = top_.m_axi_arlen + 1;
        write_address_ = top_.m_axi_awaddr;
        data_ = top_.m_axi_wdata;
        strobes_ = top_.m_axi_wstrb;
        last_ = top_.m_axi_wlast;
    }

    // What the memory does behind that edge, the one of `cycle`.
    void drive(uint64_t cycle) {
        if (read_taken_) {
            Burst& burst = reads_.front();
            burst.address += kBeatBytes;
            if (--burst.beats == 0) reads_.pop_front();
        }
        if (read_request_) reads_.push_back({read_address_, read_beats_, cycle + kReadLatency});
        if (write_request_) writes_.push_back(write_address_);
        if (write_taken_) data_beats_.push_back({data_, strobes_, last_});
        while (!writes_.empty() && !data_beats_.empty()) {
            const Beat beat = data_beats_.front();
            data_beats_.pop_front();
            for (uint64_t byte = 0; byte < kBeatBytes; ++byte)
                if (beat.strobes >> byte & 1)
                    at(writes_.front() + byte) = static_cast<uint8_t>(beat.data >> 8 * byte);
            writes_.front() += kBeatBytes;
            if (beat.last) {
                writes_.pop_front();
                answers_.push_back(cycle + kWriteLatency);
            }
        }
        if (answer_taken_) answers_.pop_front();

        top_.m_axi_arready = top_.m_axi_awready = top_.m_axi_wready = 1;
        const bool reading = !reads_.empty() && cycle + 1 >= reads_.front().first;
        top_.m_axi_rvalid = reading;
        top_.m_axi_rid = top_.m_axi_rresp = 0;
        if (reading) {
            uint64_t word = 0;
            for (uint64_t byte = 0; byte < kBeatBytes; ++byte)
                word |= static_cast<uint64_t>(at(reads_.front().address + byte)) << 8 * byte;
            top_.m_axi_rdata = word;
            top_.m_axi_rlast = reads_.front().beats == 1;
        }
        top_.m_axi_bvalid = !answers_.empty() && cycle + 1 >= answers_.front();
        top_.m_axi_bid = top_.m_axi_bresp = 0;
    }

  private:
    static constexpr uint64_t kReadLatency = 2;
    static constexpr uint64_t kWriteLatency = 2;

    struct Burst {
        uint64_t address;
        uint64_t beats;
        uint64_t first;  // the cycle in which its first beat is offered, at the earliest
    };
    struct Beat {
        uint64_t data;
        uint32_t strobes;
        bool last;
    };

    uint8_t& at(uint64_t address) {
        if (address >= bytes_.size()) fail("access outside of memory: " + std::to_string(address));
        return bytes_[address];
    }

    Vtop& top_;
    Bytes bytes_;
    std::deque<Burst> reads_;
    std::deque<uint64_t> writes_;
    std::deque<Beat> data_beats_;
    std::deque<uint64_t> answers_;
    bool read_request_ = false, read_taken_ = false;
    bool write_request_ = false, write_taken_ = false, answer_taken_ = false, last_ = false;
    uint64_t read_address_ = 0, read_beats_ = 0, write_address_ = 0, data_ = 0;
    uint32_t strobes_ = 0;
};

class Host {
  public:
    Host(Vtop& top, Memory& memory) : top_(top), memory_(memory) {
        top_.rst = 1;
        top_.eval();
        for (int i = 0; i < kResetCycles; ++i) cycle();
        top_.rst = 0;
    }

    uint64_t cycles() const { return cycle_; }

    void cycle() {
        top_.clk = 0;
        top_.eval();
        memory_.sample();
        top_.clk = 1;
        top_.eval();
        memory_.drive(cycle_++);
    }

    void write(uint32_t address, uint32_t value) {
        top_.s_axil_awaddr = address;
        top_.s_axil_wdata = value;
        top_.s_axil_wstrb = 0xf;
        top_.s_axil_awvalid = top_.s_axil_wvalid = 1;
        top_.s_axil_bready = 1;
        while (true) {
            settle();
            const bool address_taken = top_.s_axil_awready, data_taken = top_.s_axil_wready;
            const bool answered = top_.s_axil_bvalid;
            cycle();
            if (address_taken) top_.s_axil_awvalid = 0;
            if (data_taken) top_.s_axil_wvalid = 0;
            if (answered) break;
        }
        top_.s_axil_bready = 0;
    }

    uint32_t read(uint32_t address) {
        top_.s_axil_araddr = address;
        top_.s_axil_arvalid = top_.s_axil_rready = 1;
        while (true) {
            settle();
            const bool taken = top_.s_axil_arready, answered = top_.s_axil_rvalid;
            const uint32_t value = top_.s_axil_rdata;
            cycle();
            if (taken) top_.s_axil_arvalid = 0;
            if (answered) {
                top_.s_axil_rready = 0;
                return value;
            }
        }
    }

  private:
    void settle() {
        top_.clk = 0;
        top_.eval();
    }

    Vtop& top_;
    Memory& memory_;
    uint64_t cycle_ = 0;
};

Bytes load(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail("cannot read " + path);
    return Bytes(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 12) fail("expected 11 arguments, not " + std::to_string(argc - 1));
    const auto number = [argv](int index) { return std::strtoull(argv[index], nullptr, 0); };
    const Bytes payload = load(argv[1]), images = load(argv[2]);
    const uint64_t program_at = number(4), images_at = number(5), results_at = number(6);
    const uint64_t count = number(9), result_bytes = number(10), hang_cycles = number(11);

    VerilatedContext context;
    Vtop top(&context);
    Memory memory(top, number(7));
    if (images_at + images.size() > memory.bytes().size()) fail("memory is too small");
    std::copy(payload.begin(), payload.end(), memory.bytes().begin() + program_at);
    std::copy(images.begin(), images.end(), memory.bytes().begin() + images_at);

    Host host(top, memory);
    host.write(TRITONE_REG_PROGRAM_ADDRESS, program_at);
    host.write(TRITONE_REG_PROGRAM_INSTRUCTIONS, number(8));
    host.write(TRITONE_REG_IMAGE_ADDRESS, images_at);
    host.write(TRITONE_REG_RESULT_ADDRESS, results_at);
    host.write(TRITONE_REG_IMAGE_COUNT, count);
    const uint64_t before = host.cycles();
    const std::clock_t began = std::clock();
    host.write(TRITONE_REG_CONTROL, TRITONE_CONTROL_START | TRITONE_CONTROL_INTERRUPT_ENABLE);
    // Verilator prefixes names that some compiler reserves.
    while (!top.__SYM__interrupt) {
        if (host.cycles() - before > hang_cycles) fail("the run does not end");
        host.cycle();
    }
    const double seconds = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;

    std::ofstream results(argv[3], std::ios::binary);
    results.write(reinterpret_cast<const char*>(memory.bytes().data()) + results_at,
                  static_cast<std::streamsize>(count * result_bytes));
    results.close();
    if (!results) fail(std::string("cannot write ") + argv[3]);
    const uint64_t cycles = host.read(TRITONE_REG_CYCLES_LOW) |
                            static_cast<uint64_t>(host.read(TRITONE_REG_CYCLES_HIGH)) << 32;
    std::printf("{\"status\": %" PRIu32 ", \"error\": %" PRIu32 ", \"cycles\": %" PRIu64
                ", \"processor_seconds\": %.6f}\n",
                host.read(TRITONE_REG_STATUS), host.read(TRITONE_REG_ERROR), cycles, seconds);
    return 0;
}
