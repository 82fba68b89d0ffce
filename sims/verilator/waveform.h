// The waveform of a bench: the cycles that are wanted, and a quick end where the file cannot be written.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <unistd.h>

#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#elif VM_TRACE
#include "verilated_vcd_c.h"
#endif

#if VM_TRACE

const int CANNOT_WRITE = 3;  // exit status, as in verilator_engine.py

[[noreturn]] inline void cannot_write(int error) {
    std::fprintf(stderr, "%s\n", std::strerror(error));
    std::fflush(stderr);
    // no destructor: that of a waveform would write again
    _exit(CANNOT_WRITE);
}

#if VM_TRACE_FST
using Waveform = VerilatedFstC;
#else
using Waveform = VerilatedVcdC;

// Ends the process where a write fails: Verilator's own way out waits for a lock that it holds.
class CheckedFile : public VerilatedVcdFile {
public:
    ssize_t write(const char* from, ssize_t count) override {
        ssize_t written;
        do {
            written = VerilatedVcdFile::write(from, count);
        } while (written < 0 && (errno == EINTR || errno == EAGAIN));
        if (written < 0) cannot_write(errno);
        return written;
    }
};
#endif

class WaveformFile {
public:
    WaveformFile(const char* path, uint64_t first, uint64_t last)
        : path_(path), first_(first), last_(last) {}

    template <typename Model>
    void trace(Model& model) {
        model.trace(&waveform_, 99);
    }

    // The signals at ``time``, in ``cycle``; dumped in order.
    void dump(uint64_t cycle, uint64_t time) {
        if (cycle < first_) return;
        if (cycle > last_) {
            close();
            return;
        }
        if (!opened_) {
            opened_ = true;
            waveform_.open(path_.c_str());
            if (!waveform_.isOpen()) cannot_write(errno);
        }
        waveform_.dump(time);
    }

    void close() {
        if (waveform_.isOpen()) waveform_.close();
    }

private:
    const std::string path_;
    const uint64_t first_, last_;
    bool opened_ = false;
#if VM_TRACE_FST
    Waveform waveform_;
#else
    CheckedFile file_;
    Waveform waveform_{&file_};
#endif
};

#endif  // VM_TRACE
