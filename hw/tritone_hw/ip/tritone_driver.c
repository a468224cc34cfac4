/* SPDX-License-Identifier: Apache-2.0 */
#include "tritone_driver.h"

#include <string.h>

#define ALIGNMENT 8u

static uint32_t get(const tritone *machine, uintptr_t reg)
{
    return TRITONE_READ32(machine->base + reg);
}

static void set(const tritone *machine, uintptr_t reg, uint32_t value)
{
    TRITONE_WRITE32(machine->base + reg, value);
}

static uint64_t get_wide(const tritone *machine, uintptr_t low, uintptr_t high)
{
    return (uint64_t)get(machine, high) << 32 | get(machine, low);
}

/* Little endian, whatever the processor is. */
static uint64_t field(const uint8_t *file, size_t offset, size_t bytes)
{
    uint64_t value = 0;
    for (size_t index = 0; index < bytes; index++)
        value |= (uint64_t)file[offset + index] << 8 * index;
    return value;
}

tritone_result tritone_open(tritone *machine, uintptr_t base)
{
    machine->base = base;
    if (get(machine, TRITONE_REG_VERSION) != TRITONE_ISA_VERSION)
        return TRITONE_OTHER_MACHINE;
    if (get_wide(machine, TRITONE_REG_FINGERPRINT_LOW, TRITONE_REG_FINGERPRINT_HIGH) !=
        TRITONE_FINGERPRINT)
        return TRITONE_OTHER_MACHINE;
    return TRITONE_OK;
}

tritone_result tritone_read_program(tritone_program *program, const void *file, size_t bytes)
{
    const uint8_t *data = file;
    if (bytes < TRITONE_CONTAINER_BYTES ||
        memcmp(data, TRITONE_CONTAINER_MAGIC, strlen(TRITONE_CONTAINER_MAGIC)) != 0 ||
        field(data, TRITONE_CONTAINER_VERSION_OFFSET, 4) != TRITONE_CONTAINER_VERSION)
        return TRITONE_NO_PROGRAM;
    if (field(data, TRITONE_CONTAINER_FINGERPRINT_OFFSET, 8) != TRITONE_FINGERPRINT)
        return TRITONE_OTHER_MACHINE;
    program->instructions = (uint32_t)field(data, TRITONE_CONTAINER_INSTRUCTIONS_OFFSET, 4);
    program->payload_bytes = field(data, TRITONE_CONTAINER_PAYLOAD_BYTES_OFFSET, 8);
    if (program->payload_bytes > bytes - TRITONE_CONTAINER_BYTES)
        return TRITONE_NO_PROGRAM;
    program->payload = data + TRITONE_CONTAINER_BYTES;
    return TRITONE_OK;
}

tritone_result tritone_start(
    const tritone *machine, const tritone_program *program, const tritone_job *job)
{
    if ((job->program | job->images | job->results) % ALIGNMENT != 0)
        return TRITONE_WRONG_ADDRESS;
    if (job->count == 0)
        return TRITONE_NO_IMAGES;
    if (get(machine, TRITONE_REG_STATUS) & TRITONE_STATUS_BUSY)
        return TRITONE_STILL_BUSY;
    set(machine, TRITONE_REG_PROGRAM_ADDRESS, job->program);
    set(machine, TRITONE_REG_PROGRAM_INSTRUCTIONS, program->instructions);
    set(machine, TRITONE_REG_IMAGE_ADDRESS, job->images);
    set(machine, TRITONE_REG_RESULT_ADDRESS, job->results);
    set(machine, TRITONE_REG_IMAGE_COUNT, job->count);
    TRITONE_BARRIER();
    set(machine, TRITONE_REG_CONTROL,
        TRITONE_CONTROL_START | (job->interrupt ? TRITONE_CONTROL_INTERRUPT_ENABLE : 0));
    return TRITONE_OK;
}

tritone_result tritone_wait(const tritone *machine, uint32_t looks)
{
    for (; looks > 0; looks--) {
        uint32_t status = get(machine, TRITONE_REG_STATUS);
        if (status & (TRITONE_STATUS_DONE | TRITONE_STATUS_ERROR)) {
            TRITONE_BARRIER();
            return status & TRITONE_STATUS_DONE ? TRITONE_OK : TRITONE_STOPPED;
        }
    }
    return TRITONE_TIMED_OUT;
}

void tritone_acknowledge(const tritone *machine)
{
    set(machine, TRITONE_REG_CONTROL, 0);
    TRITONE_BARRIER();
}

uint32_t tritone_error(const tritone *machine)
{
    return get(machine, TRITONE_REG_ERROR);
}

uint64_t tritone_cycles(const tritone *machine)
{
    return get_wide(machine, TRITONE_REG_CYCLES_LOW, TRITONE_REG_CYCLES_HIGH);
}
