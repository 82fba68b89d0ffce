/* FlashAttention on the accelerator, bare metal: the program, its tensors and what must come out are in demo_data.h,
   which is made from the kernel and the golden model. The result is compared bit for bit, and its errors are computed
   here. */
#include <generated/csr.h>
#include <generated/soc.h>
#include <irq.h>
#include <libbase/uart.h>
#include <stdio.h>
#include <string.h>

#include "demo_data.h"
#include "errors.h"
#include "fsa.h"

#define DEVICE ((volatile void *)CSR_FSA_BASE)
#define LIMIT 10000000u

static float result[DEMO_VALUES];

/* Memory has a value in whole bytes, the lowest first. */
static uint32_t pattern_at(const uint8_t *bytes, uint32_t index)
{
    uint32_t bits = 0, byte;
    for (byte = 0; byte < FSA_ACC_BYTES; byte++)
        bits |= (uint32_t)bytes[index * FSA_ACC_BYTES + byte] << (8 * byte);
    return bits;
}

/* The value of a pattern of the accumulators' format, which a float holds exactly. */
static float value_of(uint32_t bits)
{
    const uint32_t fraction = bits & ((1u << FSA_ACC_MANTISSA_BITS) - 1u);
    const uint32_t top = (1u << FSA_ACC_EXPONENT_BITS) - 1u;
    const uint32_t biased = bits >> FSA_ACC_MANTISSA_BITS & top;
    int exponent = (int)(biased == 0 ? 1 : biased) - (int)(top >> 1) - (int)FSA_ACC_MANTISSA_BITS;
    double value = (double)(fraction | (biased == 0 ? 0 : 1u << FSA_ACC_MANTISSA_BITS));
    if (biased == top)
        value = fraction != 0 ? 0.0 / 0.0 : 1.0 / 0.0;
    for (; exponent > 0; exponent--)
        value *= 2;
    for (; exponent < 0; exponent++)
        value /= 2;
    return (float)(bits >> (FSA_ACC_BITS - 1) != 0 ? -value : value);
}

/* O^T in memory holds a row for each column of O, a value for each query of whole tiles. */
static uint32_t place_of(uint32_t query, uint32_t column)
{
    return column * DEMO_QUERIES_IN_TILES + query;
}

static uint32_t differing_values(const uint8_t *found)
{
    uint32_t query, column, count = 0;
    for (query = 0; query < DEMO_QUERIES; query++) {
        for (column = 0; column < DEMO_COLUMNS; column++) {
            const uint32_t at = place_of(query, column);
            const uint32_t ours = pattern_at(found, at), golden = pattern_at(demo_expected, at);
            result[query * DEMO_COLUMNS + column] = value_of(ours);
            if (ours != golden && count++ == 0)
                printf("first at [%u, %u]: FSA 0x%lx, golden 0x%lx\n", (unsigned)query, (unsigned)column,
                       (unsigned long)ours, (unsigned long)golden);
        }
    }
    return count;
}

static enum fsa_result run(void)
{
    enum fsa_result ended;
    uint32_t at;
    for (at = 0; at < DEMO_INPUTS; at++)
        memcpy((void *)(uintptr_t)demo_inputs[at].address, demo_inputs[at].bytes, demo_inputs[at].size);
    /* what is not overwritten is not the answer */
    memset((void *)(uintptr_t)DEMO_OUTPUT, 0x5A, sizeof demo_expected);
    ended = fsa_reset(DEVICE, LIMIT);
    if (ended != FSA_DONE)
        return ended;
    fsa_write(DEVICE, FSA_REGISTER_SCALE_ELEM, DEMO_SCALE_ELEM);
    fsa_write(DEVICE, FSA_REGISTER_SCALE_ACC, DEMO_SCALE_ACC);
#ifdef FSA_IRQ_INTERRUPT
    fsa_attach(DEVICE, FSA_IRQ_INTERRUPT);
#endif
    fsa_activate(DEVICE);
    ended = fsa_send(DEVICE, demo_words, DEMO_WORDS, LIMIT);
    if (ended != FSA_DONE)
        return ended;
#ifdef FSA_IRQ_INTERRUPT
    return fsa_wait_interrupt(DEVICE, LIMIT);
#else
    return fsa_wait(DEVICE, LIMIT);
#endif
}

static void print_counters(void)
{
    uint32_t at;
    printf("Cycles: %lu\n", (unsigned long)fsa_read(DEVICE, FSA_REGISTER_EXECUTION_TIME));
    printf("Performance counters:\n");
    for (at = 0; at < DEMO_COUNTERS; at++)
        printf(demo_counters[at].form, (unsigned long)fsa_read(DEVICE, demo_counters[at].offset));
}

static int demo(void)
{
    const uint8_t *found = (const uint8_t *)(uintptr_t)DEMO_OUTPUT;
    struct errors errors;
    enum fsa_result ended;
    uint32_t differing;
    printf("%s on %s: %u instruction words\n", DEMO_NAME, CONFIG_CPU_HUMAN_NAME, (unsigned)DEMO_WORDS);
    ended = run();
    if (ended != FSA_DONE) {
        const struct fsa_fault fault = fsa_error(DEVICE);
        if (ended == FSA_TIMED_OUT)
            printf("the device did not end: state %lu\n", (unsigned long)fsa_read(DEVICE, FSA_REGISTER_STATE));
        else
            printf("the device stopped with error %lu at instruction %lu\n", (unsigned long)fault.code,
                   (unsigned long)fault.instruction);
        return 1;
    }
    differing = differing_values(found);
    errors = errors_of_floats(result, demo_torch, DEMO_TORCH_EPSILON, DEMO_VALUES);
    print_errors("torch", &errors);
    if (differing == 0)
        printf("FSA equals the golden model bit for bit (%u values)\n", (unsigned)DEMO_VALUES);
    else
        printf("FSA differs from the golden model in %lu of %u values\n", (unsigned long)differing,
               (unsigned)DEMO_VALUES);
    errors = errors_of_doubles(result, demo_float64, 1e-8, DEMO_VALUES);
    print_errors("float64", &errors);
    print_counters();
    return differing != 0;
}

int main(void)
{
    int status;
#ifdef CONFIG_CPU_HAS_INTERRUPT
    irq_setmask(0);
    irq_setie(1);
#endif
    uart_init();
    status = demo();
    uart_sync();
#ifdef CSR_SIMULATION_EXIT_ADDR
    simulation_exit_write(status);
#endif
    for (;;)
        continue;
}
