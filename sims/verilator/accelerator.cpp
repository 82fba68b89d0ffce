// The accelerator's test bench around the Verilated accelerator: what sims/accelerator_bench.py plays in MyHDL, cycle
// for cycle.
//
//     accelerator RUN RESULT [WAVEFORM PERIOD FIRST LAST]
//
// RUN comes from sims/verilator_device.py: 64-bit words (the host's byte order), in the order in which read_run takes
// them, then the bytes of what memory holds before. RESULT goes back: 64-bit words as write_result has them, then the
// bytes of what the programs left in memory. Now and then a line on standard output gives the cycle. Exit status 0 also
// at the cycle limit, 1 with one line on standard error when a file cannot be read or written.
//
// The device's outputs hold still until the clock rises, so host and memory work out what they do next before that edge
// and show it to the device after.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "Vaccelerator.h"
#include "bench.h"
#include "host.h"
#include "memory.h"
#include "ports.h"  // MEMORY_PORTS(PORT), which is PORT(0) PORT(1) ..., and BEAT_BYTES; from sims/verilator_device.py

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a beat's bytes are those of Verilator's integers");

namespace {

// A stretch of memory, and its bytes in Run::data when they are known before.
struct Region {
    uint64_t address, size;
    const uint8_t* data;
};

struct Program {
    std::vector<Region> memory, outputs;
};

struct Run {
    uint64_t memory_base, memory_size, reset_cycles, max_cycles, stall_seed, push_interval;
    Timing timing;
    std::vector<Program> programs;
    std::vector<HostStep> steps;
    std::vector<uint8_t> data;
};

Run read_run(const char* path) {
    Reader reader(path);
    Run run;
    run.memory_base = reader.word();
    run.memory_size = reader.word();
    run.reset_cycles = reader.word();
    run.max_cycles = reader.word();
    run.stall_seed = reader.word();
    run.push_interval = reader.word();
    run.timing.read_latency = reader.word();
    run.timing.write_latency = reader.word();
    run.timing.read_gain = reader.word();
    run.timing.read_cost = reader.word();
    run.timing.write_gain = reader.word();
    run.timing.write_cost = reader.word();
    run.programs.resize(reader.word());
    run.steps.resize(reader.word());
    uint64_t bytes = 0;
    for (Program& program : run.programs) {
        program.memory.resize(reader.word());
        program.outputs.resize(reader.word());
        for (std::vector<Region>* regions : {&program.memory, &program.outputs}) {
            for (Region& region : *regions) {
                region.address = reader.word();
                region.size = reader.word();
            }
        }
        for (const Region& region : program.memory) bytes += region.size;
    }
    static_assert(sizeof(HostStep) == 3 * sizeof(uint64_t), "a HostStep is its words in the file");
    reader.take(run.steps.data(), run.steps.size());
    run.data.resize(bytes);
    reader.take(run.data.data(), run.data.size());
    const uint8_t* data = run.data.data();
    for (Program& program : run.programs) {
        for (Region& region : program.memory) {
            region.data = data;
            data += region.size;
        }
    }
    return run;
}

// One memory port of the device. Verilator's types differ with the width and are references already.
struct MemoryBus {
    decltype(Vaccelerator::memory_m0_araddr)& araddr;
    decltype(Vaccelerator::memory_m0_arlen)& arlen;
    decltype(Vaccelerator::memory_m0_rdata)& rdata;
    decltype(Vaccelerator::memory_m0_rresp)& rresp;
    CData &arvalid, &arready, &rlast, &rvalid, &rready;
    decltype(Vaccelerator::memory_m0_awaddr)& awaddr;
    decltype(Vaccelerator::memory_m0_awlen)& awlen;
    decltype(Vaccelerator::memory_m0_wdata)& wdata;
    decltype(Vaccelerator::memory_m0_bresp)& bresp;
    CData &awvalid, &awready, &wvalid, &wready, &bvalid, &bready;
};

class Channel {
public:
    Channel(const MemoryBus& bus, const Memory& memory, const Timing& timing, uint64_t stall_seed, uint64_t port)
        : bus_(bus), stalls_(stall_seed, port), read_(memory, timing), write_(memory, timing) {
        static_assert(sizeof bus.rdata == BEAT_BYTES && sizeof bus.wdata == BEAT_BYTES, "Verilator pads a beat");
        std::memset(&bus_.rdata, 0, BEAT_BYTES);
        bus_.rresp = bus_.rlast = bus_.bresp = 0;
        drive();
    }

    void tick(uint64_t now) {
        const uint32_t word = stalls_.next();
        read_.tick(now, word, bus_.arvalid, bus_.araddr, bus_.arlen, bus_.rready);
        write_.tick(now, word, bus_.awvalid, bus_.awaddr, bus_.awlen, bus_.wvalid, &bus_.wdata, bus_.bready);
    }

    void drive() {
        bus_.arready = read_.arready;
        bus_.rvalid = read_.rvalid;
        if (read_.presented) {
            std::memcpy(&bus_.rdata, read_.rdata.data(), BEAT_BYTES);
            bus_.rresp = read_.rresp;
            bus_.rlast = read_.rlast;
        }
        bus_.awready = write_.awready;
        bus_.wready = write_.wready;
        bus_.bvalid = write_.bvalid;
        bus_.bresp = write_.bresp;
    }

private:
    const MemoryBus bus_;
    Stalls stalls_;
    ReadPort<BEAT_BYTES> read_;
    WritePort<BEAT_BYTES> write_;
};

class Bench {
public:
    Bench(const Run& run, VerilatedContext& context)
        : run_(run), device_(&context, ""), clock_(device_), memory_(run.memory_base, run.memory_size),
          host_(run.steps, run.push_interval, [this](uint64_t number) { fill(number); },
                [this](uint64_t number) { save(number); }) {
        if (!memory_.good()) fail("no room for", "the device's memory");
#define CHANNEL(p)                                                                                                     \
    channels_.emplace_back(                                                                                            \
        MemoryBus{device_.memory_m##p##_araddr, device_.memory_m##p##_arlen, device_.memory_m##p##_rdata,              \
                  device_.memory_m##p##_rresp, device_.memory_m##p##_arvalid, device_.memory_m##p##_arready,           \
                  device_.memory_m##p##_rlast, device_.memory_m##p##_rvalid, device_.memory_m##p##_rready,             \
                  device_.memory_m##p##_awaddr, device_.memory_m##p##_awlen, device_.memory_m##p##_wdata,              \
                  device_.memory_m##p##_bresp, device_.memory_m##p##_awvalid, device_.memory_m##p##_awready,           \
                  device_.memory_m##p##_wvalid, device_.memory_m##p##_wready, device_.memory_m##p##_bvalid,            \
                  device_.memory_m##p##_bready},                                                                       \
        memory_, run.timing, run.stall_seed, p);                                                                       \
    device_.memory_m##p##_rid = device_.memory_m##p##_bid = 0;
        MEMORY_PORTS(CHANNEL)
        device_.control_awaddr = device_.control_wdata = device_.control_araddr = 0;
        device_.control_awvalid = device_.control_wvalid = device_.control_arvalid = 0;
        device_.control_wstrb = device_.control_bready = device_.control_rready = 0;
        device_.clock = 0;
        device_.reset = 1;
        device_.eval();
    }
    ~Bench() { device_.final(); }

    Clock<Vaccelerator>& clock() { return clock_; }

    void run() {
        while (!over_) cycle();
        clock_.close();
    }

    void write_result(const char* path) const {
        std::FILE* file = std::fopen(path, "wb");
        if (!file) fail("cannot write", path);
        const uint64_t head[] = {cycle_, host_.position(), limit_reached_, host_.results().size(), saved_.size()};
        bool good = put(file, head, sizeof head / sizeof *head);
        good = good && put(file, host_.results().data(), host_.results().size());
        good = good && put(file, saved_.data(), saved_.size());
        good = good && put(file, outputs_.data(), outputs_.size());
        if (std::fclose(file) || !good) fail("cannot write", path);
    }

private:
    // One rising edge: the registers take what stood before it, then the inputs take their next values and settle.
    void cycle() {
        const uint64_t now = cycle_++;
        const bool started = now >= run_.reset_cycles;
        if (started) tick(now);
        clock_.rise();
        if (started) {
            drive();
        } else {
            device_.reset = now + 1 < run_.reset_cycles;
        }
        if (!over_) clock_.fall();
    }

    // drive() of accelerator_bench.py; a port sees at once what the ports before it wrote.
    void tick(uint64_t now) {
        // Verilator renames a port that is a common word of C++
        const bool interrupt = device_.__SYM__interrupt;
        host_.tick(now, {bool(device_.control_awready), bool(device_.control_wready), bool(device_.control_bvalid),
                         bool(device_.control_arready), bool(device_.control_rvalid), interrupt,
                         device_.control_rdata});
        for (Channel& channel : channels_) channel.tick(now);
        if (now % PROGRESS_CYCLES == 0) clock_.report(now);
        if (host_.finished()) {
            over_ = true;
        } else if (now >= run_.max_cycles) {
            limit_reached_ = true;
            over_ = true;
        }
    }

    void drive() {
        device_.control_awaddr = host_.awaddr;
        device_.control_awvalid = host_.awvalid;
        device_.control_wdata = host_.wdata;
        device_.control_wvalid = host_.wvalid;
        device_.control_wstrb = 15;
        device_.control_bready = 1;
        device_.control_araddr = host_.araddr;
        device_.control_arvalid = host_.arvalid;
        device_.control_rready = 1;
        for (Channel& channel : channels_) channel.drive();
    }

    void fill(uint64_t number) {
        for (const Region& region : run_.programs[number].memory) {
            if (region.size) std::memcpy(memory_.at(region.address), region.data, region.size);
        }
    }

    void save(uint64_t number) {
        saved_.push_back(number);
        for (const Region& region : run_.programs[number].outputs) {
            const uint8_t* from = memory_.at(region.address);
            outputs_.insert(outputs_.end(), from, from + region.size);
        }
    }

    const Run& run_;
    Vaccelerator device_;
    Clock<Vaccelerator> clock_;
    const Memory memory_;
    Host host_;
    std::vector<Channel> channels_;
    bool over_ = false;

    // what the run leaves behind, beside the host's part: the fields of DeviceRun
    uint64_t cycle_ = 0;
    bool limit_reached_ = false;
    std::vector<uint64_t> saved_;  // programs, by number
    std::vector<uint8_t> outputs_;  // theirs, one after the other
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 7) fail("usage:", "accelerator RUN RESULT [WAVEFORM PERIOD FIRST LAST]");
    const Run run = read_run(argv[1]);
    VerilatedContext context;
    context.traceEverOn(argc == 7);
    Bench bench(run, context);
    if (argc == 7) trace(bench.clock(), argv + 3);
    bench.run();
    bench.write_result(argv[2]);
    return 0;
}
