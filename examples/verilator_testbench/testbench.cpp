// A testbench of one's own for the bare core, the 4x4 fp16 array with its memories: no Python runs with it.
//
// It writes a tile each of Q, K and V^T into the scratchpad, gives the five instructions of FlashAttention, reads O^T
// from the accumulator RAM, and compares with softmax attention in double. Exit status 1 when they are too far apart.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "Vfsa_core.h"
#include "verilated.h"

namespace {

constexpr int N = 4;                                // the array, a tile, and d
constexpr int Q_ROW = 0, K_ROW = 8, V_ROW = 16;     // where the tiles lie in the scratchpad
constexpr int L_ROW = 0, O_ROW = 1;                 // and in the accumulator RAM
enum Function { LOAD_STATIONARY, ATTN_SCORE, ATTN_VALUE, ACC_RECIPROCAL, ATTN_LSE_NORM };

VerilatedContext context;
Vfsa_core core{&context};
long cycles = 0;

// One clock cycle. Inputs change before it, while the clock is low.
void tick() {
    core.clock = 1;
    core.eval();
    core.clock = 0;
    core.eval();
    ++cycles;
}

// The nearest fp16 pattern of a number that is normal in fp16, or zero.
uint64_t fp16(double x) {
    if (x == 0) return 0;
    int exponent;
    const double fraction = std::frexp(std::fabs(x), &exponent);            // in [1/2, 1)
    const int mantissa = int(std::nearbyint(std::ldexp(fraction, 11)));     // 1024 to 2048
    return (x < 0 ? 0x8000 : 0) | (((exponent + 13) << 10) + mantissa);
}

void write_row(int row, const double* values) {
    core.scratchpad_write_valid = 1;
    core.scratchpad_write_row = row;
    uint64_t data = 0;
    for (int i = 0; i < N; ++i) data |= fp16(values[i]) << (16 * i);        // element 0 in the low bits
    core.scratchpad_write_data = data;
    tick();
    core.scratchpad_write_valid = 0;
}

// How a scratchpad row enters the array: turned round before and behind the skew, and skewed.
struct Entry {
    bool reverse_in, reverse_out, delay;
};

// Gives an instruction, and waits until the core takes it. ``zero``: what the accumulator RAM holds counts as +0, as
// for the first tile of keys; ``wait_idle``: start only when nothing is at work.
void issue(Function function, int row, int stride, Entry entry, int accumulator_row, bool zero, bool wait_idle) {
    core.instruction_valid = 1;
    core.instruction_function = function;
    core.instruction_scratchpad_row = row;
    core.instruction_scratchpad_stride = stride & 31;                       // two's complement
    core.instruction_reverse_in = entry.reverse_in;
    core.instruction_reverse_out = entry.reverse_out;
    core.instruction_delay = entry.delay;
    core.instruction_accumulator_row = accumulator_row;
    core.instruction_accumulator_stride = 1;
    core.instruction_zero = zero;
    core.instruction_wait_idle = wait_idle;
    core.eval();
    bool taken = false;
    while (!taken) {
        taken = core.instruction_ready;
        tick();
    }
    core.instruction_valid = 0;
}

void read_row(int row, float* values) {
    core.accumulator_read_valid = 1;
    core.accumulator_read_row = row;
    core.eval();
    bool taken = false;
    while (!taken) {
        taken = core.accumulator_read_ready;
        tick();
    }
    core.accumulator_read_valid = 0;
    for (int i = 0; i < N; ++i) {                                           // the data are there for one cycle
        const uint32_t word = core.accumulator_read_data[i];
        std::memcpy(&values[i], &word, sizeof word);
    }
}

}  // namespace

int main() {
    // numbers that fp16 holds exactly: queries, keys and values, a row each
    const double q[N][N] = {{1, 0.5, -0.25, 2}, {-1, 0.75, 1.5, 0}, {0.125, -2, 1, 0.5}, {0.5, 0.5, 0.5, 0.5}};
    const double k[N][N] = {{0.5, 1, 0, -1}, {2, -0.5, 0.25, 1}, {-1, -1, 0.5, 0.75}, {0, 1.25, -0.5, 0.5}};
    const double v[N][N] = {{1, 2, 3, 4}, {-1, 0.5, 0, 2}, {0.25, -3, 1, 1}, {2, 0, -1, 0.5}};

    core.clock = 0;
    core.reset = 1;
    core.eval();
    core.scale_elem = fp16(M_LOG2E / std::sqrt(N));                         // scores are multiplied by log2(e) / sqrt(d)
    const float scale = float(M_LOG2E / std::sqrt(N));
    std::memcpy(&core.scale_acc, &scale, sizeof scale);
    tick();
    tick();
    core.reset = 0;

    for (int i = 0; i < N; ++i) {
        double column[N];
        for (int j = 0; j < N; ++j) column[j] = v[j][i];
        write_row(Q_ROW + i, q[i]);
        write_row(K_ROW + i, k[i]);
        write_row(V_ROW + i, column);                                       // V enters transposed
    }

    const long start = cycles;
    issue(LOAD_STATIONARY, Q_ROW + N - 1, -1, {false, false, false}, 0, false, false);  // the last query first
    issue(ATTN_SCORE, K_ROW, 1, {true, true, true}, L_ROW, true, false);
    issue(ATTN_VALUE, V_ROW, 1, {true, false, true}, O_ROW, true, false);
    issue(ACC_RECIPROCAL, 0, 0, {}, L_ROW, false, true);
    issue(ATTN_LSE_NORM, 0, 0, {}, O_ROW, false, true);
    while (core.busy) tick();
    std::printf("%ld cycles from the first instruction to idle\n", cycles - start);

    float o[N][N];
    for (int i = 0; i < N; ++i) {
        float row[N];
        read_row(O_ROW + i, row);                                           // a row of O^T: one value of each query
        for (int j = 0; j < N; ++j) o[j][i] = row[j];
    }

    double worst = 0;
    bool close = true;
    for (int i = 0; i < N; ++i) {
        double weight[N], sum = 0, exact[N] = {};
        for (int j = 0; j < N; ++j) {
            double score = 0;
            for (int l = 0; l < N; ++l) score += q[i][l] * k[j][l];
            sum += weight[j] = std::exp(score / std::sqrt(N));
        }
        for (int j = 0; j < N; ++j)
            for (int l = 0; l < N; ++l) exact[l] += weight[j] / sum * v[j][l];
        std::printf("query %d:", i);
        for (int l = 0; l < N; ++l) {
            std::printf(" %+.5f", o[i][l]);
            const double error = std::fabs(o[i][l] - exact[l]);
            worst = std::fmax(worst, error);
            close = close && error < 0.005;                                 // not so for a NaN
        }
        std::printf("\n");
    }
    std::printf("largest error against softmax in double: %.1e\n", worst);
    return close ? 0 : 1;
}
