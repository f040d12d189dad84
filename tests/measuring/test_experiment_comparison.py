from __future__ import annotations

import math
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerocopy_lab.measuring.comparison import compare_pairs, signed_rank_p

ROUNDS = st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1, max_size=12)
OPPOSITE = {"cheaper": "dearer", "dearer": "cheaper", "inconclusive": "inconclusive"}


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 2, 3, 4, 5, 6, 7], 2 / 128),
        ([-1, -2, -3, -4, -5, -6, -7], 2 / 128),
        ([-1, 2, 3, 4, 5, 6, 7], 4 / 128),
        ([1, 2, -3, 4, 5, 6, 7, 8, 9], 10 / 512),  # rank sum 3: the table's limit for p = 0.02
        ([1, -1], 1.0),
        ([0, 0, 0], 1.0),
        ([], 1.0),
    ],
)
def test_p_as_in_the_tables(differences: list[float], p: float) -> None:
    assert signed_rank_p(differences) == pytest.approx(p)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_p_is_the_share_of_all_sign_patterns(n: int) -> None:
    """What p means, counted the long way: over all ways to flip the signs."""
    ranks = range(1, n + 1)
    sums = [
        min(
            up := sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign),
            sum(ranks) - up,
        )
        for signs in product((False, True), repeat=n)
    ]
    for flipped in range(1, n + 1):
        differences = [-rank if rank == flipped else rank for rank in ranks]
        share = sum(found <= min(flipped, sum(ranks) - flipped) for found in sums) / len(sums)
        assert signed_rank_p(differences) == pytest.approx(min(1.0, share))


@given(ROUNDS)
def test_turning_the_question_round_turns_the_answer_round(
    pairs: list[tuple[float, float]],
) -> None:
    there = compare_pairs("a", "b", "cpu_s", pairs)
    back = compare_pairs("b", "a", "cpu_s", [(b, a) for a, b in pairs])
    assert back.verdict == OPPOSITE[there.verdict]


@given(ROUNDS, st.sampled_from([0.25, 1024.0]))
def test_units_do_not_matter(pairs: list[tuple[float, float]], unit: float) -> None:
    scaled = [(a * unit, b * unit) for a, b in pairs]
    assert (
        compare_pairs("a", "b", "f", pairs).verdict == compare_pairs("a", "b", "f", scaled).verdict
    )


@pytest.mark.parametrize(
    ("pairs", "verdict", "why"),
    [
        ([(1, 2)] * 2, "inconclusive", "too few"),
        ([(1, 2)] * 3, "cheaper", "all 3 rounds"),
        ([(2, 1)] * 3, "dearer", "all 3 rounds"),
        ([(1, 1.15)] * 3, "inconclusive", "less than 20%"),
        ([(1, 1.3), (1, 1.4), (1, 2.9)], "inconclusive", "scatter"),
        ([(1, 1.3), (1, 1.4), (1.1, 1)], "inconclusive", "scatter"),
        (
            [(1, 1.06)] * 7,
            "cheaper",
            "chance alone would do this once in 64 experiments of 7 rounds",
        ),
        ([(1, 1.04)] * 7, "inconclusive", "less than 5%"),
        ([(1, 1.2)] * 6 + [(1.01, 1)], "inconclusive", "too often"),
        ([(1, 1.2)] * 8 + [(1.01, 1)], "cheaper", "chance alone"),
        ([(1, 1)] * 9, "inconclusive", "less than 5%"),
    ],
)
def test_verdicts(pairs: list[tuple[float, float]], verdict: str, why: str) -> None:
    found = compare_pairs("a", "b", "cpu_s", pairs)
    assert found.verdict == verdict
    assert why in found.why
    assert found.ratio.n == len(pairs)
    assert found.verdict in found.text()


@pytest.mark.parametrize("rounds", [3, 5, 7, 9])
@pytest.mark.parametrize("noise", [0.03, 0.06, 0.12])
def test_noise_alone_is_rarely_called_a_difference(rounds: int, noise: float) -> None:
    """Simulated, so the same on every machine; also with outliers, which only add."""
    rng = random.Random(rounds)

    def value() -> float:
        outlier = rng.expovariate(2) if rng.random() < 0.1 else 0.0
        return math.exp(rng.gauss(0, noise)) * (1 + outlier)

    verdicts = [
        compare_pairs("a", "b", "f", [(value(), value()) for _ in range(rounds)]).verdict
        for _ in range(1000)
    ]
    assert 1000 - verdicts.count("inconclusive") <= 20


@pytest.mark.parametrize("rounds", [7, 9])
def test_a_true_difference_of_20_percent_is_found(rounds: int) -> None:
    rng = random.Random(rounds)
    found = [
        compare_pairs(
            "a",
            "b",
            "f",
            [
                (math.exp(rng.gauss(0, 0.03)), 1.2 * math.exp(rng.gauss(0, 0.03)))
                for _ in range(rounds)
            ],
        ).verdict
        for _ in range(500)
    ]
    assert found.count("cheaper") >= 495


@pytest.mark.parametrize("pairs", [[(0.0, 1.0)], [(1.0, -1.0)], []])
def test_what_has_no_ratio_is_refused(pairs: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match=r"not above 0|no measurements"):
        compare_pairs("a", "b", "cpu_s", pairs)
