// The bare core's test bench around the Verilated core: what sims/core_bench.py plays in MyHDL, cycle for cycle.
//
//     core SCHEDULE RESULT [WAVEFORM PERIOD FIRST LAST]
//
// SCHEDULE comes from sims/verilator_engine.py: 64-bit words (the host's byte order), in the order in which
// read_schedule takes them, then the tiles' scratchpad rows in 32-bit words, element 0 in the low bits. RESULT goes
// back: 64-bit words as write_result has them, then the rows of O^T in 32-bit words. Now and then a line on standard
// output gives the cycles since the first issue. Exit status 0 also at the cycle limit, 1 with one line on standard
// error when a file cannot be read or written.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "Vcore.h"
#include "bench.h"

namespace {

const unsigned SEMAPHORES = 32;

// A port of any width from and to 32-bit words, the low ones first. Verilator has an integer type for each width up to
// 64 bits and VlWide above.
template <typename Port>
void set_port(Port& port, const uint32_t* words, size_t count) {
    uint64_t value = words[0];
    if (count > 1) value |= uint64_t(words[1]) << 32;
    port = static_cast<Port>(value);
}
template <std::size_t Words>
void set_port(VlWide<Words>& port, const uint32_t* words, size_t count) {
    std::memcpy(port.data(), words, (count < Words ? count : Words) * sizeof *words);
}
template <typename Port>
void get_port(const Port& port, uint32_t* words, size_t count) {
    const uint64_t value = port;
    words[0] = uint32_t(value);
    if (count > 1) words[1] = uint32_t(value >> 32);
}
template <std::size_t Words>
void get_port(const VlWide<Words>& port, uint32_t* words, size_t count) {
    std::memcpy(words, port.data(), (count < Words ? count : Words) * sizeof *words);
}

// One tile of Q, K or V^T and where it goes.
struct Tile {
    uint64_t semaphore, first_row, rows;
    const uint32_t* data;
};

// A matrix instruction: the fields of MatrixInstruction and the tile it reads, NONE if it reads none.
struct Step {
    uint64_t tile, function, wait_idle, semaphore, release, release_value, scratchpad_row, scratchpad_stride,
        reverse_in, reverse_out, delay, accumulator_row, accumulator_stride, zero, causal;
};

struct Schedule {
    uint64_t scratchpad_words, accumulator_words;  // 32-bit words a row of each memory
    uint64_t reset_cycles, primed, store_semaphore, output_row, output_rows, max_cycles;
    std::vector<Tile> tiles;
    std::vector<uint64_t> loads;  // into tiles, in the order they are written
    std::vector<Step> steps;
    std::vector<uint32_t> data;
};

Schedule read_schedule(const char* path) {
    Reader reader(path);
    Schedule s;
    s.scratchpad_words = reader.word();
    s.accumulator_words = reader.word();
    s.reset_cycles = reader.word();
    s.primed = reader.word();
    s.store_semaphore = reader.word();
    s.output_row = reader.word();
    s.output_rows = reader.word();
    s.max_cycles = reader.word();
    s.tiles.resize(reader.word());
    s.loads.resize(reader.word());
    s.steps.resize(reader.word());
    uint64_t rows = 0;
    for (Tile& tile : s.tiles) {
        tile.semaphore = reader.word() % SEMAPHORES;
        tile.first_row = reader.word();
        tile.rows = reader.word();
        rows += tile.rows;
    }
    reader.take(s.loads.data(), s.loads.size());
    static_assert(sizeof(Step) == 15 * sizeof(uint64_t), "a Step is its words in the file");
    reader.take(s.steps.data(), s.steps.size());
    s.data.resize(rows * s.scratchpad_words);
    reader.take(s.data.data(), s.data.size());
    const uint32_t* data = s.data.data();
    for (Tile& tile : s.tiles) {
        tile.data = data;
        data += tile.rows * s.scratchpad_words;
    }
    return s;
}

class Bench {
public:
    Bench(const Schedule& schedule, VerilatedContext& context)
        : schedule_(schedule), core_(&context, ""), clock_(core_), row_(schedule.accumulator_words) {
        for (uint64_t& tile : resident_) tile = NONE;
        core_.clock = 0;
        core_.reset = 1;
        core_.eval();
    }
    ~Bench() { core_.final(); }

    Clock<Vcore>& clock() { return clock_; }

    void run() {
        while (!over_) cycle();
        clock_.close();
    }

    void write_result(const char* path) const {
        std::FILE* file = std::fopen(path, "wb");
        if (!file) fail("cannot write", path);
        const uint64_t head[] = {cycle_, limit_reached_, finished_, issued_.size(), overlap_.size(), idle_.size(),
                                 output_.size()};
        bool good = put(file, head, sizeof head / sizeof *head);
        for (const std::vector<uint64_t>* list : {&issued_, &overlap_, &idle_}) {
            good = good && put(file, list->data(), list->size());
        }
        good = good && put(file, output_.data(), output_.size());
        if (std::fclose(file) || !good) fail("cannot write", path);
    }

private:
    // One rising edge: the registers take what stood before it, then the inputs take their next values and settle.
    void cycle() {
        sample();
        clock_.rise();
        drive();
        if (!over_) clock_.fall();
    }

    // The outputs just before the edge, which is when drive() of core_bench.py reads them.
    void sample() {
        ready_ = core_.instruction_ready;
        busy_ = core_.busy;
        release_ = core_.release_valid;
        semaphore_ = core_.release_semaphore;
        read_ready_ = core_.accumulator_read_ready;
        if (expecting_) get_port(core_.accumulator_read_data, row_.data(), row_.size());
    }

    void drive() {
        const uint64_t now = cycle_++;
        if (now < schedule_.reset_cycles) {
            core_.reset = now + 1 < schedule_.reset_cycles;
            return;
        }
        if (release_) release();
        load();
        collect();
        issue(now);
        if (now % PROGRESS_CYCLES == 0) clock_.report(issued_.empty() ? 0 : now - issued_[0]);
        if (now >= schedule_.max_cycles && finished_ == NONE) {
            limit_reached_ = true;
            over_ = true;
        } else if (finished_ != NONE && !reads_ && !reading_ && !expecting_) {
            over_ = true;
        }
    }

    void release() {
        if (semaphore_ == schedule_.store_semaphore) {
            reads_ += schedule_.output_rows;
        } else {
            resident_[semaphore_] = NONE;
        }
    }

    // DMA's part: one scratchpad row a cycle, and the next tile once its buffer is free.
    void load() {
        if (loading_) {
            const Tile& tile = schedule_.tiles[schedule_.loads[loaded_]];
            set_port(core_.scratchpad_write_data, tile.data + loading_row_ * schedule_.scratchpad_words,
                     schedule_.scratchpad_words);
            core_.scratchpad_write_row = tile.first_row + loading_row_;
            core_.scratchpad_write_valid = 1;
            if (++loading_row_ == tile.rows) {
                resident_[tile.semaphore] = schedule_.loads[loaded_++];
                loading_ = false;
            }
            return;
        }
        core_.scratchpad_write_valid = 0;
        if (loaded_ < schedule_.loads.size()
            && resident_[schedule_.tiles[schedule_.loads[loaded_]].semaphore] == NONE) {
            loading_ = true;
            loading_row_ = 0;
        }
    }

    // Reads the rows of O^T that are due; a row is there in the cycle after its request was taken.
    void collect() {
        if (expecting_) {
            output_.insert(output_.end(), row_.begin(), row_.end());
            expecting_ = false;
        }
        if (reading_ && read_ready_) {
            expecting_ = true;
            reading_ = false;
        }
        if (!reading_ && reads_) {
            core_.accumulator_read_row = schedule_.output_row + next_read_;
            next_read_ = (next_read_ + 1) % schedule_.output_rows;
            --reads_;
            reading_ = true;
        }
        core_.accumulator_read_valid = reading_;
    }

    void issue(uint64_t now) {
        // ready is what an instruction that waits for nothing would see, unless one that waits is on the port
        if (waiting_overlap_ && ready_ && !core_.instruction_wait_idle) {
            overlap_.push_back(now);
            waiting_overlap_ = false;
        }
        if (waiting_idle_ && !busy_) {
            idle_.push_back(now);
            waiting_idle_ = false;
        }
        if (offered_ && ready_) {
            issued_.push_back(now);
            offered_ = false;
            waiting_overlap_ = waiting_idle_ = true;
        }
        if (issued_.size() == schedule_.steps.size()) {
            core_.instruction_wait_idle = 0;
            if (finished_ == NONE && !busy_ && issued_.back() < now) finished_ = now;
        } else if (!offered_) {
            const Step& step = schedule_.steps[issued_.size()];
            const bool there
                = step.tile == NONE || resident_[schedule_.tiles[step.tile].semaphore] == step.tile;
            if (step.wait_idle && waiting_overlap_) {
                // idle comes no earlier than overlap, so holding the instruction back that long costs nothing
                core_.instruction_wait_idle = 0;
            } else if (there && loaded_ >= schedule_.primed) {
                offer(step);
                offered_ = true;
            }
        }
        core_.instruction_valid = offered_;
    }

    void offer(const Step& step) {
        core_.instruction_function = step.function;
        core_.instruction_wait_idle = step.wait_idle;
        core_.instruction_semaphore = step.semaphore;
        core_.instruction_release = step.release;
        core_.instruction_release_value = step.release_value;
        core_.instruction_scratchpad_row = step.scratchpad_row;
        core_.instruction_scratchpad_stride = step.scratchpad_stride;
        core_.instruction_reverse_in = step.reverse_in;
        core_.instruction_reverse_out = step.reverse_out;
        core_.instruction_delay = step.delay;
        core_.instruction_accumulator_row = step.accumulator_row;
        core_.instruction_accumulator_stride = step.accumulator_stride;
        core_.instruction_zero = step.zero;
        core_.instruction_causal = step.causal;
    }

    const Schedule& schedule_;
    Vcore core_;
    Clock<Vcore> clock_;

    // outputs before the edge
    bool ready_ = false, busy_ = false, release_ = false, read_ready_ = false;
    unsigned semaphore_ = 0;
    std::vector<uint32_t> row_;

    // the bench between two cycles
    uint64_t resident_[SEMAPHORES];  // the tile in each semaphore's buffer
    uint64_t loaded_ = 0, loading_row_ = 0, reads_ = 0, next_read_ = 0;
    bool loading_ = false, reading_ = false, expecting_ = false, offered_ = false;
    bool waiting_overlap_ = false, waiting_idle_ = false, over_ = false;

    // what the run leaves behind: the fields of CoreRun
    uint64_t cycle_ = 0, finished_ = NONE;
    bool limit_reached_ = false;
    std::vector<uint64_t> issued_, overlap_, idle_;
    std::vector<uint32_t> output_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 7) fail("usage:", "core SCHEDULE RESULT [WAVEFORM PERIOD FIRST LAST]");
    const Schedule schedule = read_schedule(argv[1]);
    VerilatedContext context;
    context.traceEverOn(argc == 7);
    Bench bench(schedule, context);
    if (argc == 7) trace(bench.clock(), argv + 3);
    bench.run();
    bench.write_result(argv[2]);
    return 0;
}
