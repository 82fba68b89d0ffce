// The verilated SoC for LiteX's simulation core, which drives its clocks: counts the cycles of sys_clk, and ends the
// process when the program writes to the simulation's exit register, or at the limit of the command line.
//
//     soc LIMIT
//
// The last line on standard error is "exit STATUS CYCLES", or "limit CYCLES", followed by what waits or is raised then.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "Vsim.h"
#include "verilated.h"

static uint64_t cycles = 0, limit = UINT64_MAX;

static void finish(int status)
{
    fflush(stdout);
    fflush(stderr);
    _Exit(status);
}

extern "C" void litex_sim_init_cmdargs(int argc, char *argv[])
{
    Verilated::commandArgs(argc, argv);
    if (argc > 1)
        limit = strtoull(argv[1], nullptr, 10);
}

extern "C" void litex_sim_eval(void *vsim, uint64_t)
{
    static CData clock = 0;
    Vsim *sim = static_cast<Vsim *>(vsim);
    sim->eval();
    if (sim->sys_clk && !clock) {
        cycles++;
        if (sim->simulation_exit) {
            fprintf(stderr, "\nexit %u %llu\n", (unsigned)sim->simulation_status, (unsigned long long)cycles);
            finish(0);
        }
        if (cycles >= limit) {
            fprintf(stderr, "\nlimit %llu%s%s%s\n", (unsigned long long)cycles,
                    sim->simulation_control_waits ? ", an access to its registers waits" : "",
                    sim->simulation_memory_waits ? ", one of its memory ports waits" : "",
                    sim->simulation_interrupt ? ", its interrupt is raised" : "");
            finish(0);
        }
    }
    clock = sim->sys_clk;
}

extern "C" void litex_sim_init_tracer(void *, long, long)
{
}

extern "C" void litex_sim_tracer_dump()
{
}

extern "C" int litex_sim_got_finish()
{
    return Verilated::gotFinish();
}

double sc_time_stamp()
{
    return 0;
}
