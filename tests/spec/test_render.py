# SPDX-License-Identifier: Apache-2.0
"""The C header says the same as the records; the Markdown shows every name."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tritone.spec import isa
from tritone.spec.catalog import CATALOG
from tritone.spec.machine import PRESETS, preset
from tritone.spec.regmap import REGISTERS
from tritone.spec.render import c_header, markdown

PROGRAM = """
#include <stdint.h>
#include <stdio.h>
#include "tritone.h"

static void put(uint8_t *record, unsigned shift, unsigned bits, uint64_t value) {
    for (unsigned bit = 0; bit < bits; bit++)
        record[(shift + bit) / 8] |= (uint8_t)((value >> bit & 1) << ((shift + bit) % 8));
}

#define PUT(FIELD, value) put(word, FIELD##_SHIFT, FIELD##_BITS, value)

int main(void) {
    uint8_t word[TRITONE_LAYER_BITS / 8] = {0};
    PUT(TRITONE_LAYER_OPCODE, TRITONE_OPCODE_CONVOLVE);
    PUT(TRITONE_LAYER_IN_BASE, 0x1234);
    PUT(TRITONE_LAYER_STEPS, 0x8877665544332211u);
    PUT(TRITONE_LAYER_LOW, (uint64_t)-300);
    PUT(TRITONE_LAYER_POOL_MODE, TRITONE_POOL_MODE_SUM);
    for (int i = TRITONE_LAYER_BITS / 8 - 1; i >= 0; i--) printf("%02x", word[i]);
    printf(" %d %016llx", TRITONE_REG_CYCLES_LOW, (unsigned long long)TRITONE_FINGERPRINT);
    return 0;
}
"""


def test_a_driver_packs_what_the_record_packs(tmp_path: Path) -> None:
    """A C program with the header builds the same instruction, bit for bit."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is missing")
    (tmp_path / "tritone.h").write_text(c_header(preset("demo")))
    (tmp_path / "driver.cc").write_text(PROGRAM)
    subprocess.run(
        [compiler, "-Wall", "-Wextra", "-Werror", "driver.cc", "-o", "driver"],
        cwd=tmp_path,
        check=True,
    )
    printed = subprocess.run(
        [tmp_path / "driver"], capture_output=True, text=True, check=True
    ).stdout.split()
    values = {field.name: 0 for field in isa.LAYER.fields} | {
        "opcode": isa.Opcode.CONVOLVE,
        "in_base": 0x1234,
        "steps": 0x8877665544332211,
        "low": -300,
        "pool_mode": isa.PoolMode.SUM,
    }
    assert int(printed[0], 16) == isa.LAYER.pack(values)
    assert int(printed[1]) == 0x38
    assert int(printed[2], 16) == preset("demo").fingerprint


def test_macros_are_unique() -> None:
    """No name is defined twice."""
    names = re.findall(r"^#define (\w+)", c_header(preset("tiny")), re.MULTILINE)
    names += re.findall(r"^    (\w+) =", c_header(preset("tiny")), re.MULTILINE)
    assert len(names) == len(set(names))
    assert len(names) > 100


def test_the_header_differs_between_machines() -> None:
    """The fingerprint of the machine stands in its header."""
    for machine in PRESETS.values():
        assert f"0x{machine.fingerprint:016x}ULL" in c_header(machine)


def test_the_reference_names_everything() -> None:
    """Codebooks, fields, registers and machines all appear."""
    text = markdown()
    names = [*CATALOG, *(each.name for each in REGISTERS), *PRESETS]
    names += [field.name for record in isa.RECORDS.values() for field in record.fields]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_levels_and_positions_in_the_reference() -> None:
    """Rows by hand: POST4's code 6 is 4 root 2, and steps lies at 358:295."""
    text = markdown()
    assert re.search(r"^\| 6 \|( [^|]* \|){2} 4√2 \|", text, re.MULTILINE)
    assert "| `odd8` | 8 | 256 | 1, 3..255 | 1/255 | - | 3: 0:<<0, 1:<<4, 2:<<8 | - |" in text
    assert "| `odd3` | 3 | 8 | 1, 3..7 | 1/7 | 2: 0:<<0, 0:<<0 | 1: 0:<<0 | 2: " in text
    assert "4+√2, 4√2, 6" not in text, "long lists are abbreviated"
    assert "| `odd2` | 1 + 1; 2 + 2 | 2; 4 | 1 + 1; 2 + 2 |" in text
    assert "| 358:295 | `steps` | 64 |" in text
    assert "| `0x38` | `cycles_low` | read |" in text
