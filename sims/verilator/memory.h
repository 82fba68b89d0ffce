// The memory behind the AXI4 ports: what sims/memory.py is in MyHDL, cycle for cycle.
//
// A port's tick() is given, once a cycle, what the device drives just before the clock's rising edge; what the port's
// public fields say from then on is for the device to see after the edge. A beat is Beat bytes, the lowest address
// first.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>

#include "bench.h"

const size_t ADDRESSES_WAITING = 64;  // bursts of each direction that a port accepts before it answers
const size_t BEATS_WAITING = 16;      // write beats that a port accepts before their address

enum Response : uint8_t { OKAY = 0, DECERR = 3 };

// The bytes, shared by all ports. Zero at the start; untouched pages cost nothing.
class Memory {
public:
    Memory(uint64_t base, uint64_t size)
        : base_(base), size_(size),
          bytes_(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
    ~Memory() {
        if (good()) munmap(bytes_, size_);
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    // Whether there was room for it; otherwise it must not be used.
    bool good() const { return bytes_ != MAP_FAILED; }

    // Whether all of it is inside.
    bool holds(uint64_t address, uint64_t count) const {
        return base_ <= address && count <= size_ && address - base_ <= size_ - count;
    }

    // Where an address that it holds is.
    uint8_t* at(uint64_t address) const { return static_cast<uint8_t*>(bytes_) + (address - base_); }

private:
    uint64_t base_, size_;
    void* bytes_;
};

// How the memory behaves: latencies in cycles, bandwidths as beats that come in so many cycles.
struct Timing {
    uint64_t read_latency, write_latency;
    int64_t read_gain, read_cost, write_gain, write_cost;
};

// Random back-pressure: a 32-bit xorshift a port, two bits of it a channel; a channel stalls when both are 0.
class Stalls {
public:
    Stalls(uint64_t seed, uint64_t port) {
        if (seed == NONE) return;
        word_ = uint32_t(seed * 2654435761u + (port + 1) * 40503u);
        if (!word_) word_ = 1;
    }

    // The next cycle's bits; without a seed nothing stalls.
    uint32_t next() {
        if (!word_) return ~uint32_t(0);
        word_ ^= word_ << 13;
        word_ ^= word_ >> 17;
        word_ ^= word_ << 5;
        return word_;
    }

private:
    uint32_t word_ = 0;
};

// The read channels of one memory port.
template <size_t Beat>
class ReadPort {
public:
    ReadPort(const Memory& memory, const Timing& timing)
        : memory_(memory), latency_(timing.read_latency), gain_(timing.read_gain), cost_(timing.read_cost) {}

    bool arready = false, rvalid = false, rlast = false;
    uint8_t rresp = OKAY;
    std::array<uint8_t, Beat> rdata{};
    // whether this tick put a beat into rdata, rresp and rlast
    bool presented = false;

    void tick(uint64_t now, uint32_t stalls, bool arvalid, uint64_t araddr, uint32_t arlen, bool rready) {
        if (arready && arvalid) bursts_.push_back({araddr, arlen + 1, now + latency_});
        if (rvalid && rready) rvalid = false;
        credit_ = std::min(credit_ + gain_, 2 * cost_ - 1);
        presented = !rvalid && !bursts_.empty() && bursts_.front().due <= now && credit_ >= cost_ && (stalls & 0xC0);
        if (presented) present();
        arready = bursts_.size() < ADDRESSES_WAITING && (stalls & 0x3);
    }

private:
    struct Burst {
        uint64_t address;  // of the next beat
        uint32_t left;     // beats
        uint64_t due;      // cycle from which on the next beat may come
    };

    void present() {
        Burst& burst = bursts_.front();
        credit_ -= cost_;
        rvalid = true;
        const bool inside = memory_.holds(burst.address, Beat);
        if (inside) {
            std::memcpy(rdata.data(), memory_.at(burst.address), Beat);
        } else {
            rdata.fill(0);
        }
        rresp = inside ? OKAY : DECERR;
        rlast = burst.left == 1;
        burst.address += Beat;
        if (!--burst.left) bursts_.pop_front();
    }

    const Memory& memory_;
    const uint64_t latency_;
    const int64_t gain_, cost_;
    int64_t credit_ = 0;
    std::deque<Burst> bursts_;
};

// The write channels of one memory port.
template <size_t Beat>
class WritePort {
public:
    WritePort(const Memory& memory, const Timing& timing)
        : memory_(memory), latency_(timing.write_latency), gain_(timing.write_gain), cost_(timing.write_cost) {}

    bool awready = false, wready = false, bvalid = false;
    uint8_t bresp = OKAY;

    // ``wdata`` is Beat bytes.
    void tick(uint64_t now, uint32_t stalls, bool awvalid, uint64_t awaddr, uint32_t awlen, bool wvalid,
              const void* wdata, bool bready) {
        if (awready && awvalid) bursts_.push_back({awaddr, awlen + 1, OKAY});
        if (wready && wvalid) {
            beats_.emplace_back();
            std::memcpy(beats_.back().data(), wdata, Beat);
            credit_ -= cost_;
        }
        if (bvalid && bready) bvalid = false;
        while (!bursts_.empty() && !beats_.empty()) store(now);
        credit_ = std::min(credit_ + gain_, 2 * cost_ - 1);
        if (!bvalid && !responses_.empty() && responses_.front().due <= now && (stalls & 0x300)) {
            bresp = responses_.front().response;
            responses_.pop_front();
            bvalid = true;
        }
        awready = bursts_.size() < ADDRESSES_WAITING && (stalls & 0xC);
        wready = credit_ >= cost_ && beats_.size() < BEATS_WAITING && (stalls & 0x30);
    }

private:
    struct Burst {
        uint64_t address;   // of the next beat
        uint32_t left;      // beats
        Response response;  // so far
    };
    struct Answer {
        Response response;
        uint64_t due;  // cycle from which on it may come
    };

    void store(uint64_t now) {
        Burst& burst = bursts_.front();
        if (memory_.holds(burst.address, Beat)) {
            std::memcpy(memory_.at(burst.address), beats_.front().data(), Beat);
        } else {
            burst.response = DECERR;
        }
        beats_.pop_front();
        burst.address += Beat;
        if (!--burst.left) {
            responses_.push_back({burst.response, now + latency_});
            bursts_.pop_front();
        }
    }

    const Memory& memory_;
    const uint64_t latency_;
    const int64_t gain_, cost_;
    int64_t credit_ = 0;
    std::deque<Burst> bursts_;
    std::deque<std::array<uint8_t, Beat>> beats_;
    std::deque<Answer> responses_;
};
