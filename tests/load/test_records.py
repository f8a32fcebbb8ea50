from __future__ import annotations

import subprocess
import sys

import pytest

from harness.recording.layout import ERRORS, FIELDS, NO_INSTANCE, NONE, REJECTED, STRUCT, as_array, dtype


def test_packed_record_reads_back_field_by_field() -> None:
    """What the generator packs is what numpy reads: same size, order, width and signedness."""
    times, shorts = (-1, -2, -(2**62), -3, 2**61), (65_535, 65_534, 65_533, 65_532)
    values = (*times, 2**32 - 1, NO_INSTANCE, *shorts, len(ERRORS) - 1, 254)
    (record,) = as_array(STRUCT.pack(*values)).tolist()
    assert record == values
    assert dtype().itemsize == STRUCT.size
    assert dtype().names == tuple(name for name, _ in FIELDS)


def test_incomplete_last_record_is_left_out() -> None:
    """A generator killed in the middle of a write leaves a piece of a record, which is none."""
    record = STRUCT.pack(1, 1, 5, 2, 4, 0, 0, 200, 0, 0, 0, 0, 0)
    assert len(as_array(record * 3 + record[:-1])) == 3


def test_error_codes_are_indexes_of_their_names() -> None:
    """The constants and the names can't drift apart."""
    assert (ERRORS[NONE], ERRORS[REJECTED]) == ("none", "rejected")
    assert len(set(ERRORS)) == len(ERRORS) == REJECTED + 1


@pytest.mark.parametrize("module", ["harness.load.profile", "harness.recording.layout"])
def test_parent_side_modules_load_without_the_generator_s_libraries(module: str) -> None:
    """The parent process must stay free of gevent's patches and of a second of imports."""
    heavy = "{'gevent', 'locust', 'numpy'}"
    code = f"import sys, {module}\nsys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=20).returncode == 0
