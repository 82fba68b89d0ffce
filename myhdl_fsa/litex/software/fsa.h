/* A driver of the accelerator, over the registers and instructions of fsa_registers.h.

   base is where the SoC's bus has the device's registers: CSR_FSA_BASE of LiteX's csr.h. A limit counts reads of a
   register; a function that reaches it gives up and returns FSA_TIMED_OUT. */
#ifndef FSA_H
#define FSA_H

#include <stdint.h>

#include "fsa_registers.h"

enum fsa_result {
    FSA_DONE = 0,
    FSA_TIMED_OUT = 1, /* the limit was reached: fsa_reset is what helps */
    FSA_STOPPED = 2    /* with an error: fsa_error says which */
};

/* What fsa_read_counters reads: cycles, words and instructions, as the registers' meanings say. */
struct fsa_counters {
    uint32_t execution_time, matrix_bubble, matrix_active, dma_active, raw, matrix, dma, fence, enqueued, dequeued;
};

/* What stopped the device, in its error register's numbers, and the number of the instruction that it is about. */
struct fsa_fault {
    uint32_t code, instruction;
};

/* Back to state 0, with no word in the queue. What is under way on the bus ends first. */
enum fsa_result fsa_reset(volatile void *base, uint32_t limit);

/* Lets the device take words from its queue. What the CPU wrote to memory before, the device sees. */
void fsa_activate(volatile void *base);

/* Hands over instruction words, never more than the queue has room for: a write to a full queue would hold the bus that
   the device itself needs to go on. The device must be active when there are more than the queue holds. */
enum fsa_result fsa_send(volatile void *base, const uint32_t *words, uint32_t count, uint32_t limit);

/* Waits for the end of the program, by reading the state. What the device wrote to memory, the CPU sees afterwards. */
enum fsa_result fsa_wait(volatile void *base, uint32_t limit);

/* The same by the device's interrupt, of that number at the CPU; fsa_attach comes before fsa_activate. */
void fsa_attach(volatile void *base, unsigned int interrupt);
enum fsa_result fsa_wait_interrupt(volatile void *base, uint32_t limit);

void fsa_read_counters(const volatile void *base, struct fsa_counters *counters);
struct fsa_fault fsa_error(const volatile void *base);

#endif
