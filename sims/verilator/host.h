// The host in front of the AXI4-Lite port: plays a script of register accesses, as sims/host.py does in MyHDL, cycle
// for cycle.
//
// tick() is given, once a cycle, what the device drives just before the clock's rising edge; what the public fields
// say from then on is for the device to see after the edge.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

// The numbers of sims/host.py.
enum class Action : uint64_t { WRITE, PUSH, WAIT, READ, POLL, FILL, SAVE };

struct HostStep {
    Action action;
    uint64_t address, value;
};

// What the device drives on its AXI4-Lite port, and its interrupt.
struct ControlOutputs {
    bool awready, wready, bvalid, arready, rvalid, interrupt;
    uint32_t rdata;
};

class Host {
public:
    using ByNumber = std::function<void(uint64_t)>;

    // ``fill`` and ``save`` get a program's number.
    Host(const std::vector<HostStep>& steps, uint64_t push_interval, ByNumber fill, ByNumber save)
        : steps_(steps), interval_(push_interval), fill_(std::move(fill)), save_(std::move(save)) {}

    uint64_t awaddr = 0, wdata = 0, araddr = 0;
    bool awvalid = false, wvalid = false, arvalid = false;

    // steps done
    size_t position() const { return position_; }
    const std::vector<uint64_t>& results() const { return results_; }
    // Whether the script has come to its end.
    bool finished() const { return position_ == steps_.size() && !answers_due_; }

    void tick(uint64_t now, const ControlOutputs& bus) {
        if (bus.awready) awvalid = false;
        if (bus.wready) wvalid = false;
        if (answers_due_ && bus.bvalid) --answers_due_;
        if (reading_) {
            if (bus.arready) arvalid = false;
            if (bus.rvalid) take(bus.rdata);
        } else if (position_ < steps_.size() && !awvalid && !wvalid) {
            begin(now, bus.interrupt);
        }
    }

private:
    void take(uint32_t value) {
        reading_ = false;
        const HostStep& step = steps_[position_];
        if (step.action == Action::READ) {
            results_.push_back(value);
            ++position_;
        } else if (value == step.value) {
            ++position_;
        }
    }

    void begin(uint64_t now, bool interrupt) {
        if (interrupt) {
            while (steps_[position_].action == Action::PUSH) ++position_;
        }
        const HostStep& step = steps_[position_];
        if (step.action == Action::PUSH) {
            if (now < next_push_) return;
            next_push_ = now + interval_;
        } else if (answers_due_) {
            return;
        }
        switch (step.action) {
        case Action::WRITE:
        case Action::PUSH:
            awaddr = step.address;
            wdata = step.value;
            awvalid = wvalid = true;
            ++answers_due_;
            ++position_;
            break;
        case Action::WAIT:
            if (interrupt) ++position_;
            break;
        case Action::FILL:
            fill_(step.value);
            ++position_;
            break;
        case Action::SAVE:
            save_(step.value);
            ++position_;
            break;
        case Action::READ:
        case Action::POLL:
            araddr = step.address;
            arvalid = true;
            reading_ = true;
            break;
        }
    }

    const std::vector<HostStep>& steps_;
    const uint64_t interval_;
    const ByNumber fill_, save_;
    size_t position_ = 0;
    std::vector<uint64_t> results_;
    bool reading_ = false;
    uint64_t answers_due_ = 0, next_push_ = 0;
};
