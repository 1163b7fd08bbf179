from __future__ import annotations

import random
from math import inf, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.lift import FEW, Lift, Sample, Verdict, of_means, of_rates, student, wilson

GROUP = st.integers(1, 5000).flatmap(lambda size: st.tuples(st.integers(0, size), st.just(size)))


def sample(values):
    return Sample(len(values), sum(values), sum(value * value for value in values))


def test_it_is_the_interval_that_newcombe_printed():
    """56/70 and 48/80 (Newcombe 1998, table II, method 10)."""
    lift = of_rates(56, 70, 48, 80)
    assert (round(lift.difference, 4), round(lift.low, 4), round(lift.high, 4)) == (0.2, 0.0524, 0.3339)
    none = of_rates(0, 10, 0, 10)
    assert (none.difference, round(none.low, 4), round(none.high, 4)) == (0, -0.2775, 0.2775)


@given(GROUP, GROUP)
def test_groups_changed_about_give_the_same_with_the_other_sign(one, other):
    lift, mirrored = of_rates(*one, *other), of_rates(*other, *one)
    assert lift.low <= lift.difference + 1e-12 and lift.difference <= lift.high + 1e-12
    assert lift.low >= -1 and lift.high <= 1
    assert mirrored.difference == pytest.approx(-lift.difference)
    assert (mirrored.low, mirrored.high) == (pytest.approx(-lift.high), pytest.approx(-lift.low))


@given(GROUP)
def test_a_rates_interval_has_the_rate_in_it(group):
    low, high = wilson(*group)
    assert 0 <= low <= group[0] / group[1] <= high <= 1


def test_of_nobody_nothing_is_told():
    assert of_rates(0, 0, 3, 10) is None and of_rates(3, 10, 0, 0) is None
    assert of_means(Sample(0, 0, 0), sample([1, 2])) is None and of_means(sample([1]), sample([1, 2])) is None
    assert wilson(0, 0) == (0, 1)


@pytest.mark.parametrize(("freedom", "point"), [(3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)])
def test_students_points_are_those_of_the_tables(freedom, point):
    assert student(freedom) == pytest.approx(point, rel=0.01 if freedom < 5 else 0.001)
    assert student(0.5) == inf


def test_welchs_interval_by_hand():
    lift = of_means(sample([10, 20, 30, 40]), sample([5, 15]))
    spread = sqrt(500 / 3 / 4 + 50 / 2)
    freedom = spread**4 / ((500 / 3 / 4) ** 2 / 3 + 25**2 / 1)
    assert lift.difference == 15
    assert lift.high - lift.difference == pytest.approx(student(freedom) * spread)


def test_amounts_that_are_all_the_same_differ_by_just_that():
    assert of_means(sample([5, 5, 5]), sample([3, 3])) == Lift(2, 2, 2)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=40), st.lists(st.floats(0, 1e6), min_size=2, max_size=40))
def test_means_changed_about_give_the_same_with_the_other_sign(one, other):
    lift, mirrored = of_means(sample(one), sample(other)), of_means(sample(other), sample(one))
    assert (mirrored.low, mirrored.high) == (pytest.approx(-lift.high), pytest.approx(-lift.low))


@pytest.mark.parametrize(
    ("rate", "other", "size", "other_size"), [(0.12, 0.10, 900, 100), (0.03, 0.03, 500, 60), (0.5, 0.4, 200, 200)]
)
def test_of_twenty_intervals_of_rates_about_nineteen_have_the_truth_in_them(rate, other, size, other_size):
    dice = random.Random(20261129)
    covered = 0
    for _ in range(1500):
        hits = sum(dice.random() < rate for _ in range(size))
        other_hits = sum(dice.random() < other for _ in range(other_size))
        lift = of_rates(hits, size, other_hits, other_size)
        covered += lift.low <= rate - other <= lift.high
    assert 0.93 <= covered / 1500 <= 0.98


def test_of_twenty_intervals_of_means_about_nineteen_have_the_truth_in_them():
    """Amounts as shops have them: most customers buy nothing, few buy much."""
    dice = random.Random(20261129)

    def amounts(size, rate):
        return sample([dice.expovariate(1 / 500) if dice.random() < rate else 0.0 for _ in range(size)])

    covered = 0
    for _ in range(1000):
        lift = of_means(amounts(900, 0.25), amounts(100, 0.20))
        covered += lift.low <= 25 <= lift.high
    assert 0.92 <= covered / 1000 <= 0.98


@pytest.mark.parametrize(
    ("lift", "sizes", "verdict"),
    [
        (Lift(0.02, 0.01, 0.03), (900, 100), Verdict.MORE),
        (Lift(-0.02, -0.03, -0.01), (900, 100), Verdict.LESS),
        (Lift(0.02, -0.01, 0.05), (900, 100), Verdict.NO_DIFFERENCE),
        (Lift(0.02, 0, 0.05), (900, 100), Verdict.NO_DIFFERENCE),
        (Lift(0.02, 0.01, 0.03), (900, FEW - 1), Verdict.TOO_FEW),
        (Lift(0.02, 0.01, 0.03), (FEW - 1, 900), Verdict.TOO_FEW),
    ],
)
def test_what_an_interval_tells(lift, sizes, verdict):
    assert lift.verdict(*sizes) == verdict
