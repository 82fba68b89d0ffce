// What the benches have in common: the waveform's type, errors, and the files they read and write.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Waveform = VerilatedFstC;
#elif VM_TRACE
#include "verilated_vcd_c.h"
using Waveform = VerilatedVcdC;
#endif

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
