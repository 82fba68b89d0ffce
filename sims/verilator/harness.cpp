// The bare core's test bench around the Verilated core: what sims/core_bench.py plays in MyHDL, cycle for cycle, with
// the front end and the memory of sims/ideal_device.py.
//
//     core RUN RESULT [WAVEFORM PERIOD FIRST LAST]
//
// RUN comes from sims/verilator_engine.py: 64-bit words (the host's byte order), in the order in which read_run takes
// them, then the scratchpad rows that loads write, in 32-bit words, element 0 in the low bits. RESULT goes back: 64-bit
// words as write_result has them, then the accumulator rows that stores read, in 32-bit words. Now and then a line on
// standard output gives the cycles since the first issue. Exit status 0 also at the cycle limit, 1 with one line on
// standard error when a file cannot be read or written.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

#include "Vcore.h"
#include "bench.h"

namespace {

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

enum Kind : uint64_t { FENCE, MATRIX, LOAD, STORE };

// An instruction. What each kind has: a fence the first two of its fields, a transfer the next four, a matrix
// instruction the rest; all but a fence the semaphore's.
struct Instruction {
    uint64_t kind, matrix, dma, row, stride, rows, data, semaphore, acquire, acquire_value, release, release_value,
        function, wait_idle, scratchpad_row, scratchpad_stride, reverse_in, reverse_out, delay, accumulator_row,
        accumulator_stride, zero, causal, hidden;
};

struct Run {
    uint64_t scratchpad_words, accumulator_words;  // 32-bit words a row of each memory
    uint64_t reset_cycles, priming_loads, serial, max_cycles, scale_elem, scale_acc;
    std::vector<Instruction> instructions;  // up to a fence with stop
    uint64_t matrix_count = 0;
    std::vector<uint32_t> rows;  // a load begins at its row ``data``
};

Run read_run(const char* path) {
    Reader reader(path);
    Run run;
    run.scratchpad_words = reader.word();
    run.accumulator_words = reader.word();
    run.reset_cycles = reader.word();
    run.priming_loads = reader.word();
    run.serial = reader.word();
    run.max_cycles = reader.word();
    run.scale_elem = reader.word();
    run.scale_acc = reader.word();
    run.instructions.resize(reader.word());
    run.rows.resize(reader.word() * run.scratchpad_words);
    static_assert(sizeof(Instruction) == 24 * sizeof(uint64_t), "an Instruction is its words in the file");
    reader.take(run.instructions.data(), run.instructions.size());
    reader.take(run.rows.data(), run.rows.size());
    for (const Instruction& instruction : run.instructions) run.matrix_count += instruction.kind == MATRIX;
    return run;
}

// 32 semaphores: a value and a busy bit each.
class SemaphoreFile {
public:
    // Whether the instruction may start: it acquires nothing, or its semaphore is free and has the value.
    bool acquire(const Instruction& instruction) {
        if (!instruction.acquire) return true;
        Semaphore& semaphore = semaphores_[instruction.semaphore % COUNT];
        if (semaphore.busy || semaphore.value != instruction.acquire_value) return false;
        return semaphore.busy = true;
    }
    void release(uint64_t number, uint64_t value) { semaphores_[number % COUNT] = {value, false}; }
    void release_after(const Instruction& instruction) {
        if (instruction.release) release(instruction.semaphore, instruction.release_value);
    }

private:
    static const unsigned COUNT = 32;
    struct Semaphore {
        uint64_t value;
        bool busy;
    };
    Semaphore semaphores_[COUNT] = {};
};

// The instructions that may be done, each at the head of its queue until it is.
class FrontEnd {
public:
    using Queue = std::deque<const Instruction*>;

    explicit FrontEnd(const std::vector<Instruction>& instructions)
        : next_(instructions.data()), end_(instructions.data() + instructions.size()) {}

    // Whether loads or stores are queued or under way.
    bool transfers() const { return !loads.empty() || !stores.empty(); }

    // Queues what is left, up to a fence that has to wait; ``array_idle``: nothing is offered to it or runs.
    void decode(bool array_idle) {
        for (; next_ != end_; ++next_) {
            switch (next_->kind) {
                case FENCE:
                    if ((next_->matrix && (!matrix.empty() || !array_idle)) || (next_->dma && transfers())) return;
                    break;
                case MATRIX: matrix.push_back(next_); break;
                case LOAD: loads.push_back(next_); break;
                default: stores.push_back(next_);
            }
        }
    }

    Queue matrix, loads, stores;

private:
    const Instruction* next_;
    const Instruction* const end_;
};

class Bench {
public:
    Bench(const Run& run, VerilatedContext& context)
        : run_(run), core_(&context, ""), clock_(core_), front_(run.instructions), row_(run.accumulator_words) {
        core_.clock = 0;
        core_.reset = 1;
        core_.scale_elem = run.scale_elem;
        core_.scale_acc = run.scale_acc;
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
                                 stored_.size()};
        bool good = put(file, head, sizeof head / sizeof *head);
        for (const std::vector<uint64_t>* list : {&issued_, &overlap_, &idle_}) {
            good = good && put(file, list->data(), list->size());
        }
        good = good && put(file, stored_.data(), stored_.size());
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
        release_value_ = core_.release_value;
        read_ready_ = core_.accumulator_read_ready;
        if (expecting_) get_port(core_.accumulator_read_data, row_.data(), row_.size());
    }

    void drive() {
        const uint64_t now = cycle_++;
        if (now < run_.reset_cycles) {
            core_.reset = now + 1 < run_.reset_cycles;
            return;
        }
        if (release_) semaphores_.release(semaphore_, release_value_);
        front_.decode(!offered_ && !busy_);
        if (now == run_.reset_cycles) priming_ = std::min<uint64_t>(run_.priming_loads, front_.loads.size());
        load();
        store();
        issue(now);
        if (now % PROGRESS_CYCLES == 0) clock_.report(issued_.empty() ? 0 : now - issued_[0]);
        if (now >= run_.max_cycles && finished_ == NONE) {
            limit_reached_ = true;
            over_ = true;
        } else if (finished_ != NONE && !front_.transfers()) {
            over_ = true;
        }
    }

    void finish(FrontEnd::Queue& queue) {
        semaphores_.release_after(*queue.front());
        queue.pop_front();
    }

    // One scratchpad row a cycle, and the next tile once its semaphore has been acquired.
    void load() {
        if (loading_) {
            const Instruction& load = *front_.loads.front();
            set_port(core_.scratchpad_write_data, &run_.rows[(load.data + transferred_) * run_.scratchpad_words],
                     run_.scratchpad_words);
            core_.scratchpad_write_row = load.row + transferred_ * load.stride;
            core_.scratchpad_write_valid = 1;
            if (++transferred_ == load.rows) {
                loading_ = false;
                if (priming_) --priming_;
                finish(front_.loads);
            }
            return;
        }
        core_.scratchpad_write_valid = 0;
        if (!front_.loads.empty() && semaphores_.acquire(*front_.loads.front())) {
            loading_ = true;
            transferred_ = 0;
        } else if (!front_.loads.empty()) {
            priming_ = 0;  // it waits for a matrix instruction, which must not wait for it
        }
    }

    // Reads the rows of a store; a row is there in the cycle after its request was taken.
    void store() {
        if (expecting_) {
            stored_.insert(stored_.end(), row_.begin(), row_.end());
            expecting_ = false;
            if (asked_ == front_.stores.front()->rows && !reading_) {
                finish(front_.stores);
                storing_ = false;
            }
        }
        if (reading_ && read_ready_) {
            expecting_ = true;
            reading_ = false;
        }
        if (!storing_ && !front_.stores.empty() && semaphores_.acquire(*front_.stores.front())) {
            storing_ = true;
            asked_ = 0;
        }
        if (storing_ && !reading_ && asked_ < front_.stores.front()->rows) {
            const Instruction& store = *front_.stores.front();
            core_.accumulator_read_row = store.row + asked_++ * store.stride;
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
            front_.matrix.pop_front();
            offered_ = false;
            waiting_overlap_ = waiting_idle_ = true;
        }
        if (!offered_) {
            if (front_.matrix.empty()) {
                core_.instruction_wait_idle = 0;
                const bool all = issued_.size() == run_.matrix_count;
                if (all && finished_ == NONE && !busy_ && issued_.back() < now) finished_ = now;
            } else if ((run_.serial || front_.matrix.front()->wait_idle) && waiting_overlap_) {
                // idle comes no earlier than overlap, so holding the instruction back that long costs nothing
                core_.instruction_wait_idle = 0;
            } else if (!priming_ && semaphores_.acquire(*front_.matrix.front())) {
                offer(*front_.matrix.front());
                offered_ = true;
            }
        }
        core_.instruction_valid = offered_;
    }

    void offer(const Instruction& step) {
        core_.instruction_function = step.function;
        core_.instruction_wait_idle = step.wait_idle || run_.serial;
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
        core_.instruction_hidden = step.hidden;
    }

    const Run& run_;
    Vcore core_;
    Clock<Vcore> clock_;
    FrontEnd front_;
    SemaphoreFile semaphores_;

    // outputs before the edge
    bool ready_ = false, busy_ = false, release_ = false, read_ready_ = false;
    unsigned semaphore_ = 0, release_value_ = 0;
    std::vector<uint32_t> row_;

    // the bench between two cycles
    uint64_t priming_ = 0;  // loads that the first matrix instruction still waits for
    uint64_t transferred_ = 0, asked_ = 0;  // rows of the load and of the store under way
    bool loading_ = false, storing_ = false, reading_ = false, expecting_ = false, offered_ = false;
    bool waiting_overlap_ = false, waiting_idle_ = false, over_ = false;

    // what the run leaves behind: the fields of CoreRun
    uint64_t cycle_ = 0, finished_ = NONE;
    bool limit_reached_ = false;
    std::vector<uint64_t> issued_, overlap_, idle_;
    std::vector<uint32_t> stored_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 7) fail("usage:", "core RUN RESULT [WAVEFORM PERIOD FIRST LAST]");
    const Run run = read_run(argv[1]);
    VerilatedContext context;
    context.traceEverOn(argc == 7);
    Bench bench(run, context);
    if (argc == 7) trace(bench.clock(), argv + 3);
    bench.run();
    bench.write_result(argv[2]);
    return 0;
}
