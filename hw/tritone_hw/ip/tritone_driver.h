/* SPDX-License-Identifier: Apache-2.0 */
/* Driver of the Tritone accelerator for a processor without an operating system: C99, no heap.
 *
 * Addresses that the machine gets are those of its bus; with caches, the caller writes images and
 * program back before a start, and drops the lines of the results behind it.
 *
 * The interrupt of a job that asked for it is a level: it is high from the end of the run until
 * tritone_acknowledge or the next start. A handler acknowledges; tritone_wait says how the run ended,
 * then or later, and must be called before the results are read. */
#ifndef TRITONE_DRIVER_H
#define TRITONE_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "tritone.h"

/* How a register is reached; define both for another bus than memory-mapped registers. */
#ifndef TRITONE_READ32
#define TRITONE_READ32(address) (*(volatile uint32_t *)(address))
#define TRITONE_WRITE32(address, value) (*(volatile uint32_t *)(address) = (value))
#endif

/* Orders memory and registers: what the processor wrote before is there before what follows, and what
 * follows is read after what came before. It stands before a start, after the end of a run has been
 * seen, and after an acknowledgement. Define it where the compiler's is not enough, as where memory
 * and registers are on different buses; on Armv7 and Armv8, dsb is. */
#ifndef TRITONE_BARRIER
#define TRITONE_BARRIER() __sync_synchronize()
#endif

typedef enum {
    TRITONE_OK = 0,
    TRITONE_OTHER_MACHINE,  /* the registers, or the program, are those of another machine */
    TRITONE_NO_PROGRAM,     /* not a program file, of another version, or cut off */
    TRITONE_WRONG_ADDRESS,  /* an address is not a multiple of 8 */
    TRITONE_NO_IMAGES,      /* there must be at least one */
    TRITONE_STILL_BUSY,     /* a run is under way */
    TRITONE_TIMED_OUT,      /* the run has not ended yet; wait again */
    TRITONE_STOPPED         /* the machine stopped: see tritone_error */
} tritone_result;

typedef struct {
    uintptr_t base; /* of the registers, as the processor sees them */
} tritone;

typedef struct {
    const uint8_t *payload; /* what goes to the program's address, within the file */
    uint64_t payload_bytes;
    uint32_t instructions;
} tritone_program;

typedef struct {
    uint32_t program; /* where the payload lies */
    uint32_t images;
    uint32_t results;
    uint32_t count;   /* of images */
    int interrupt;    /* raise the interrupt when the run has ended */
} tritone_job;

/* Take the machine whose registers lie at base; OTHER_MACHINE unless it is the one of tritone.h. */
tritone_result tritone_open(tritone *machine, uintptr_t base);

/* Find the payload in a program file (program.bin) of so many bytes; nothing is copied. */
tritone_result tritone_read_program(tritone_program *program, const void *file, size_t bytes);

/* Begin a run; payload and images lie at their addresses already. */
tritone_result tritone_start(
    const tritone *machine, const tritone_program *program, const tritone_job *job);

/* Wait for the end of a run, looking at the status at most so many times. */
tritone_result tritone_wait(const tritone *machine, uint32_t looks);

/* Lower the interrupt; how the run ended stays to be seen. Not while a run is under way. */
void tritone_acknowledge(const tritone *machine);

/* Return a TRITONE_ERROR_CODE_: why the machine stopped. */
uint32_t tritone_error(const tritone *machine);

/* Return the clock cycles of the run. */
uint64_t tritone_cycles(const tritone *machine);

#endif
