// What the benches have in common: the clock and the waveform, errors, and the files they read and write.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "verilated.h"
#include "waveform.h"

const uint64_t NONE = ~uint64_t(0);
const unsigned PROGRESS_CYCLES = 64;  // between two looks at the wall clock
const std::chrono::milliseconds PROGRESS_INTERVAL(100);

[[noreturn]] void fail(const char* what, const char* path) {
    std::fprintf(stderr, "%s %s\n", what, path);
    std::exit(1);
}

class Reader {
public:
    explicit Reader(const char* path) : path_(path), file_(std::fopen(path, "rb")) {
        if (!file_) fail("cannot read", path);
    }
    ~Reader() { std::fclose(file_); }
    template <typename T>
    void take(T* to, size_t count) {
        if (std::fread(to, sizeof(T), count, file_) != count) fail("too short:", path_);
    }
    uint64_t word() {
        uint64_t value;
        take(&value, 1);
        return value;
    }

private:
    const char* path_;
    std::FILE* file_;
};

template <typename T>
bool put(std::FILE* file, const T* from, size_t count) {
    return std::fwrite(from, sizeof(T), count, file) == count;
}

// The clock of a Verilated model: both edges, the waveform if there is one, and now and then a line that says how far
// the run has come.
template <typename Model>
class Clock {
public:
    explicit Clock(Model& model) : model_(model) {}

    // From here on every cycle from ``first`` to ``last`` goes into a waveform.
    void trace(const char* path, uint64_t period, uint64_t first, uint64_t last) {
#if VM_TRACE
        period_ = period;
        waveform_.reset(new WaveformFile(path, first, last));
        waveform_->trace(model_);
        dump(0, 0);
        dump(0, period / 2);
#else
        (void)period, (void)first, (void)last;
        fail("built without waveforms:", path);
#endif
    }

    void rise() {
        model_.clock = 1;
        model_.eval();
    }

    // The falling edge, after the inputs have taken their next values.
    void fall() {
        // Inputs change after the rising edge in the waveform too; without one that evaluation is saved.
        if (tracing()) {
            model_.eval();
            dump(++cycle_, 0);
        }
        model_.clock = 0;
        model_.eval();
        if (tracing()) dump(cycle_, period_ / 2);
    }

    void close() {
#if VM_TRACE
        if (waveform_) waveform_->close();
#endif
    }

    // Prints ``cycles`` on standard output, unless that was done a moment ago.
    void report(uint64_t cycles) {
        const auto time = std::chrono::steady_clock::now();
        if (time < report_due_) return;
        report_due_ = time + PROGRESS_INTERVAL;
        std::printf("%llu\n", static_cast<unsigned long long>(cycles));
        // nobody is waiting for the result any more
        if (std::fflush(stdout)) std::exit(1);
    }

private:
#if VM_TRACE
    bool tracing() const { return bool(waveform_); }
    void dump(uint64_t cycle, uint64_t offset) { waveform_->dump(cycle, cycle * period_ + offset); }
    std::unique_ptr<WaveformFile> waveform_;
#else
    static constexpr bool tracing() { return false; }
    void dump(uint64_t, uint64_t) {}
#endif

    Model& model_;
    uint64_t period_ = 0, cycle_ = 0;
    std::chrono::steady_clock::time_point report_due_ = std::chrono::steady_clock::now();
};

// ``arguments``: WAVEFORM PERIOD FIRST LAST.
template <typename Model>
void trace(Clock<Model>& clock, char** arguments) {
    clock.trace(arguments[0], std::strtoull(arguments[1], nullptr, 10), std::strtoull(arguments[2], nullptr, 10),
                std::strtoull(arguments[3], nullptr, 10));
}
