#include "fsa.h"

#include <irq.h>
#include <stddef.h>
#include <system.h>

static volatile void *attached;
static volatile uint32_t raised; /* interrupt bits since the last wait */

/* Order between the CPU's memory accesses and its accesses to the device. */
static void barrier(void)
{
    __sync_synchronize();
}

/* Caches that do not follow the device's writes are emptied; LiteX's functions do nothing for those that do. */
static void forget_memory(void)
{
    barrier();
    flush_cpu_dcache();
    flush_l2_cache();
}

static enum fsa_result result(const volatile void *base, uint32_t state)
{
    (void)base;
    forget_memory();
    return state == FSA_STATE_DONE ? FSA_DONE : FSA_STOPPED;
}

enum fsa_result fsa_reset(volatile void *base, uint32_t limit)
{
    fsa_write(base, FSA_REGISTER_ERROR, 0);
    while (limit-- != 0) {
        if (fsa_read(base, FSA_REGISTER_STATE) == FSA_STATE_IDLE)
            return FSA_DONE;
    }
    return FSA_TIMED_OUT;
}

void fsa_activate(volatile void *base)
{
    barrier();
    raised = 0;
    fsa_write(base, FSA_REGISTER_SET_ACTIVE, 1);
}

enum fsa_result fsa_send(volatile void *base, const uint32_t *words, uint32_t count, uint32_t limit)
{
    while (count != 0) {
        uint32_t held = fsa_read(base, FSA_REGISTER_ENQUEUED) - fsa_read(base, FSA_REGISTER_DEQUEUED);
        uint32_t room = held < FSA_INSTRUCTION_QUEUE_WORDS ? FSA_INSTRUCTION_QUEUE_WORDS - held : 0;

        /* a device that has stopped drops words and counts none of them */
        if (fsa_read(base, FSA_REGISTER_STATE) == FSA_STATE_ERROR)
            return FSA_STOPPED;
        if (room == 0 && limit-- == 0)
            return FSA_TIMED_OUT;
        if (room > count)
            room = count;
        fsa_push(base, words, room);
        words += room;
        count -= room;
    }
    return FSA_DONE;
}

enum fsa_result fsa_wait(volatile void *base, uint32_t limit)
{
    while (limit-- != 0) {
        uint32_t state = fsa_read(base, FSA_REGISTER_STATE);

        if (state != FSA_STATE_ACTIVE)
            return result(base, state);
    }
    return FSA_TIMED_OUT;
}

#ifdef CONFIG_CPU_HAS_INTERRUPT
static void take_interrupt(void)
{
    uint32_t bits = fsa_read(attached, FSA_REGISTER_INTERRUPT);

    fsa_write(attached, FSA_REGISTER_INTERRUPT, bits); /* the line is a level: it falls with the bits */
    raised |= bits;
}

void fsa_attach(volatile void *base, unsigned int interrupt)
{
    attached = base;
    raised = 0;
    irq_attach(interrupt, take_interrupt);
    irq_setmask(irq_getmask() | (1u << interrupt));
    irq_setie(1);
}

enum fsa_result fsa_wait_interrupt(volatile void *base, uint32_t limit)
{
    while (limit-- != 0) {
        if (raised != 0)
            return result(base, fsa_read(base, FSA_REGISTER_STATE));
    }
    return FSA_TIMED_OUT;
}
#endif

void fsa_read_counters(const volatile void *base, struct fsa_counters *counters)
{
    counters->execution_time = fsa_read(base, FSA_REGISTER_EXECUTION_TIME);
    counters->matrix_bubble = fsa_read(base, FSA_REGISTER_MATRIX_BUBBLE);
    counters->matrix_active = fsa_read(base, FSA_REGISTER_MATRIX_ACTIVE);
    counters->dma_active = fsa_read(base, FSA_REGISTER_DMA_ACTIVE);
    counters->raw = fsa_read(base, FSA_REGISTER_RAW);
    counters->matrix = fsa_read(base, FSA_REGISTER_MATRIX);
    counters->dma = fsa_read(base, FSA_REGISTER_DMA);
    counters->fence = fsa_read(base, FSA_REGISTER_FENCE);
    counters->enqueued = fsa_read(base, FSA_REGISTER_ENQUEUED);
    counters->dequeued = fsa_read(base, FSA_REGISTER_DEQUEUED);
}

struct fsa_fault fsa_error(const volatile void *base)
{
    struct fsa_fault fault = {
        .code = fsa_read(base, FSA_REGISTER_ERROR),
        .instruction = fsa_read(base, FSA_REGISTER_ERROR_INSTRUCTION),
    };
    return fault;
}
