from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerocopy_lab.instruments.spread import Spread, spread


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], Spread(3, 3, 3, 1)),
        ([3, 1, 2], Spread(2, 1, 3, 3)),
        ([4, 1, 2, 3], Spread(2.5, 1, 4, 4)),
        ([1, 1, 1000], Spread(1, 1, 1000, 3)),
    ],
)
def test_median_range_and_count(values: list[float], expected: Spread) -> None:
    assert spread(values) == expected


def test_of_nothing_there_is_no_median() -> None:
    with pytest.raises(ValueError, match="no measurements"):
        spread([])


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))  # the sum of two must be a number
def test_the_median_lies_in_the_range(values: list[float]) -> None:
    found = spread(values)
    assert found.low <= found.median <= found.high
    assert found.n == len(values)


@pytest.mark.parametrize(
    ("values", "unit", "text"),
    [
        ([0.2651, 0.2511, 0.3009], "s", "0.265 s (0.251-0.301, n=3)"),
        ([0.0000421], "s", "0.0000421 s (0.0000421-0.0000421, n=1)"),
        ([1234567.0], "", "1,234,567 (1,234,567-1,234,567, n=1)"),
        ([0.0], "B", "0 B (0-0, n=1)"),
    ],
)
def test_text_is_what_people_compare_easily(values: list[float], unit: str, text: str) -> None:
    assert spread(values).text(unit) == text
