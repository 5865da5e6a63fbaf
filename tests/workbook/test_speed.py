"""Speed that is not measured follows from operations, bytes and the device."""

import pytest

from lib.answering.conditions import Bench
from lib.models.capacity import Device
from lib.workbook.speed import EFFICIENCY, estimated_rates
from tests.workbook.test_memory import SMALL

DEVICE = Device("a GPU", 80.0, flops=1e9, bytes_per_s=1e6)


@pytest.fixture
def bench(tiny_study, small_corpus):
    return Bench(tiny_study, small_corpus)


def test_rates_are_operations_and_bytes_by_what_the_device_does(bench):
    found = estimated_rates(bench, SMALL, DEVICE)
    multiplied, adapter = 2 * (48 + 96) + 40, 4 * 2 * 64  # rank 4
    assert found.train_tokens_per_s == pytest.approx(EFFICIENCY * 1e9 / (4 * multiplied + 6 * adapter))
    assert found.read_tokens_per_s == pytest.approx(EFFICIENCY * 1e9 / (2 * multiplied))
    assert found.step_seconds == pytest.approx(4 * (multiplied + 40) / 1e6)  # float32: four bytes a weight
    row = 2 * multiplied / (EFFICIENCY * 1e9) + 4 * 2 * 2 * 2 * (16384 / 8 + 4) / 1e6
    assert found.row_seconds == pytest.approx(row)
    assert found.steps == 4


def test_a_device_twice_as_fast_takes_half_the_time(bench):
    slow = estimated_rates(bench, SMALL, DEVICE)
    fast = estimated_rates(bench, SMALL, DEVICE._replace(flops=2e9, bytes_per_s=2e6))
    assert fast.train_tokens_per_s == pytest.approx(2 * slow.train_tokens_per_s)
    assert fast.row_seconds == pytest.approx(slow.row_seconds / 2)
    assert fast.step_seconds == pytest.approx(slow.step_seconds / 2)
