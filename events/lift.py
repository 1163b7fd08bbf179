"""How much more often those do something who were sent to than those who were held out, and how sure one can be of it.

Pure. Rates are compared by the hybrid score interval (Newcombe 1998, method 10: Wilson's interval of each rate, put together),
means by Welch's interval. Both are of 95 %: of twenty such intervals one misses the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf, sqrt

NORMAL = 1.959963984540054  # the 97.5 % point of the normal distribution
FEW = 30  # customers; of fewer in a group an interval says more about chance than about the event


class Verdict(StrEnum):
    """What a comparison tells."""

    NONE = "none"  # there is no other group, or nobody in one of them
    TOO_FEW = "too_few"
    NO_DIFFERENCE = "no_difference"  # the interval contains 0
    MORE = "more"
    LESS = "less"


@dataclass(frozen=True, slots=True)
class Lift:
    """The first group's figure less the second's, with its interval."""

    difference: float
    low: float
    high: float

    def verdict(self, first: int, second: int) -> Verdict:
        """Return what this tells of groups of these sizes."""
        if min(first, second) < FEW:
            return Verdict.TOO_FEW
        if self.low <= 0 <= self.high:
            return Verdict.NO_DIFFERENCE
        return Verdict.MORE if self.low > 0 else Verdict.LESS


@dataclass(frozen=True, slots=True)
class Sample:
    """A group's amounts: how many customers, the sum of their amounts, and of their squares."""

    size: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """Return the amount a customer; 0 of nobody."""
        return self.total / self.size if self.size else 0.0

    @property
    def variance(self) -> float:
        """Return the variance from customer to customer, estimated from two or more of them."""
        return max(0.0, (self.squares - self.total * self.mean) / (self.size - 1))


def of_rates(hits: int, size: int, other_hits: int, other_size: int) -> Lift | None:
    """Return the difference of two rates; None where a group is empty."""
    if not size or not other_size:
        return None
    rate, other = hits / size, other_hits / other_size
    low, high = wilson(hits, size)
    other_low, other_high = wilson(other_hits, other_size)
    difference = rate - other
    below = sqrt((rate - low) ** 2 + (other_high - other) ** 2)
    above = sqrt((high - rate) ** 2 + (other - other_low) ** 2)
    return Lift(difference, max(-1.0, difference - below), min(1.0, difference + above))


def wilson(hits: int, size: int) -> tuple[float, float]:
    """Return Wilson's score interval of a rate; of nobody anything is possible."""
    if not size:
        return 0.0, 1.0
    rate, square = hits / size, NORMAL**2
    middle = (rate + square / (2 * size)) / (1 + square / size)
    reach = NORMAL / (1 + square / size) * sqrt(rate * (1 - rate) / size + square / (4 * size**2))
    return (0.0 if not hits else middle - reach), (1.0 if hits == size else middle + reach)


def of_means(first: Sample, second: Sample) -> Lift | None:
    """Return the difference of two means; None where a group has fewer than two customers."""
    if min(first.size, second.size) < 2:
        return None
    shares = (first.variance / first.size, second.variance / second.size)
    difference, spread = first.mean - second.mean, sum(shares)
    if not spread:
        return Lift(difference, difference, difference)
    part = shares[0] / spread
    freedom = 1 / (part**2 / (first.size - 1) + (1 - part) ** 2 / (second.size - 1))
    reach = student(freedom) * sqrt(spread)
    return Lift(difference, difference - reach, difference + reach)


def student(freedom: float) -> float:
    """Return the 97.5 % point of Student's distribution, right to 1 % from 3 on; less than 1 tells nothing.

    By its expansion: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    if freedom < 1:
        return inf
    z = NORMAL
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / freedom ** (number + 1) for number, term in enumerate(terms))
