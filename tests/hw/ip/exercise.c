/* SPDX-License-Identifier: Apache-2.0 */
/* Calls every function of the driver, over a bus that the test provides. */
#include <stddef.h>
#include <stdint.h>

#include "tritone.h"

static uint32_t (*bus_read)(size_t);
static void (*bus_write)(size_t, uint32_t);
static uint32_t (*interrupt_line)(void);
static unsigned barriers, barriers_at_start;

static void observed_write(size_t address, uint32_t value)
{
    if (address == TRITONE_REG_CONTROL && value & TRITONE_CONTROL_START)
        barriers_at_start = barriers;
    bus_write(address, value);
}

#define TRITONE_READ32(address) bus_read(address)
#define TRITONE_WRITE32(address, value) observed_write(address, value)
#define TRITONE_BARRIER() ((void)barriers++)

#include "tritone_driver.c"

void connect(uint32_t (*reader)(size_t), void (*writer)(size_t, uint32_t), uint32_t (*line)(void))
{
    bus_read = reader;
    bus_write = writer;
    interrupt_line = line;
}

int exercise(const void *file, size_t bytes, uint32_t program_address, uint32_t images,
    uint32_t results, uint32_t count, uint64_t *found)
{
    tritone machine;
    tritone_program program;
    tritone_job job = {program_address, images, results, count, 0};
    int used = 0;

    found[used++] = tritone_open(&machine, 0);
    found[used++] = tritone_read_program(&program, file, TRITONE_CONTAINER_BYTES + 1);
    found[used++] = tritone_read_program(&program, file, bytes);
    found[used++] = program.payload_bytes;
    job.images += 4;
    found[used++] = tritone_start(&machine, &program, &job);
    job.images -= 4;
    job.count = 0;
    found[used++] = tritone_start(&machine, &program, &job);
    job.count = count;
    barriers = 0;
    found[used++] = tritone_start(&machine, &program, &job);
    found[used++] = barriers_at_start;
    found[used++] = tritone_start(&machine, &program, &job);
    while ((found[used] = tritone_wait(&machine, 3)) == TRITONE_TIMED_OUT) {
    }
    used++;
    found[used++] = barriers;
    found[used++] = tritone_cycles(&machine);
    found[used++] = interrupt_line();

    job.interrupt = 1;
    found[used++] = tritone_start(&machine, &program, &job);
    found[used++] = interrupt_line();
    while (!interrupt_line()) {
    }
    found[used++] = tritone_wait(&machine, 1);
    found[used++] = interrupt_line();
    tritone_acknowledge(&machine);
    found[used++] = interrupt_line();
    found[used++] = tritone_wait(&machine, 1);

    job.interrupt = 0;
    program.instructions = 0;
    found[used++] = tritone_start(&machine, &program, &job);
    while ((found[used] = tritone_wait(&machine, 3)) == TRITONE_TIMED_OUT) {
    }
    used++;
    found[used++] = tritone_error(&machine);
    return used;
}
