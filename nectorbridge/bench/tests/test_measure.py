from itertools import count

import pytest

from nectorbridge.bench.measure import Bar, Comparison, Spread, compare, figure, percentile
from nectorbridge.bench.report import render, table


def silent(line: str) -> None:
    pass


def comparison(bar: Bar | None = None) -> Comparison:
    return Comparison("walk", "ours / theirs", "ms", bar)


def test_ratios_are_taken_pair_by_pair():
    ours, baseline = iter([2.0, 6.0, 30.0]), iter([1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 10.0, 1.0, 1.0])
    result = compare(comparison(), lambda: next(baseline), lambda: next(ours), 3, silent)
    assert result.baseline == [1.0, 2.0, 10.0]
    assert result.ratio == Spread(3.0, 2.0, 3.0)
    assert result.control_ratio == Spread(1.0, 1.0, 1.0)


def test_each_side_begins_every_other_pair_and_the_control_is_interleaved():
    order: list[str] = []
    compare(comparison(), lambda: order.append("A") or 1.0, lambda: order.append("B") or 1.0, 2, silent)
    assert "".join(order) == "ABAA" + "BAAA"


def test_with_repeats_a_figure_is_the_median_of_samples_that_alternate():
    order: list[str] = []
    numbers = count(1)
    result = compare(
        comparison(), lambda: order.append("A") or 1.0, lambda: order.append("B") or float(next(numbers)), 1, silent, 3
    )
    assert "".join(order[:6]) == "ABBAAB"
    assert result.ours == [2.0]


@pytest.mark.parametrize(
    ("bar", "ratio", "verdict"),
    [
        (Bar(1.3, at_most=True), 1.3, "met"),
        (Bar(1.3, at_most=True), 1.4, "within noise"),
        (Bar(1.3, at_most=True), 1.5, "missed"),
        (Bar(30, at_most=False), 31, "met"),
        (Bar(30, at_most=False), 28, "within noise"),
        (Bar(30, at_most=False), 20, "missed"),
    ],
)
def test_a_bar_allows_for_what_the_control_strays(bar, ratio, verdict):
    assert bar.verdict(ratio, Spread(1.0, 1 / 1.1, 1.05)) == verdict


def test_a_percentile_is_one_of_the_values():
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50.0, 99.0, 100.0)
    assert percentile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1.234, "1.23"), (12497.3, "12,497"), (0.0456, "0.0456"), (99.96, "100.0")]
)
def test_figures_have_three_significant_digits(value, text):
    assert figure(value) == text


def test_the_report_shows_medians_ranges_control_and_verdict():
    measured = comparison(Bar(2.5, at_most=True))
    measured.baseline, measured.ours, measured.control = [100.0, 100.0, 100.0], [110.0, 120.0, 130.0], [(1.0, 1.1)] * 3
    text = render([measured.as_dict()])
    for shown in ("100 ms", "120 ms", "1.20 [1.10-1.30]", "1.10 [1.10-1.10]", "<= 2.50", "met", "walk: ours / theirs"):
        assert shown in text


def test_a_check_without_ratio_is_shown_row_by_row():
    check = {"name": "r", "what": "w", "columns": ["killed", "s"], "rows": [["monitor", 2.0]], "bar": "b", "verdict": "met"}
    assert "monitor  2.00" in render([check])
    assert "r: w\n  bar: b: met" in render([check])


def test_columns_are_as_wide_as_their_widest_cell():
    assert table([("a", "b"), ("long", "c")]).splitlines() == ["a     b", "----  -", "long  c"]
