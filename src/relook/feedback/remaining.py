"""How many pictures of a kind are left among those that nobody has looked at. Layer: feedback.

Every picture gets a chance to be of the kind, by a logistic map of three numbers: its score for
the first query, its likeness to the pictures that were marked relevant, and to those that were
not. The map is the person's own: a usual one, learnt on captioned pictures, moved as far as the
marks say (Laplace's approximation to its posterior). The chances of what is unseen sum to the
number left, and how unsure the map is says how unsure that number is.

Sources: Yang, Lewis and Frieder, "Heuristic stopping rules for technology-assisted review"
(arXiv 2106.09871), sums of chances with an interval ("QuantCI"); Gelman and Hill, "Data analysis
using regression and multilevel models" (2007), a map that varies about a usual one; Vovk,
Gammerman and Shafer, "Algorithmic learning in a random world" (2005), levels that hold on what
was not learnt from.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from relook.core.vectors import Floats, Ints

RECALL, CONFIDENCE = 0.9, 0.9
"""What the stop signal promises: this share of the pictures is found, with this confidence."""

Doubles = NDArray[np.float64]

_MEASURED_ON = 1000  # pictures of the libraries that the usual map was learnt in
_GROWTH, _GROWTH_SPREAD = 0.5, 0.35  # of the number of a kind with the library: between none and 1
_FEW = 2.0  # marks: so many are half believed
_STEPS, _STEP = 30, 3.0  # Newton's; the longest one
_MOST = 20_000  # numbers left that are told apart


@dataclass(frozen=True, slots=True, eq=False)
class UsualMap:
    """What is known of a search before anything is marked, and how far estimates are to be trusted.

    Args:
        middle: [4] weights of the constant, the score, the likeness to what is relevant, and the
            likeness to what is not.
        spread: [4, 4] how the maps of several searches vary about it.
        likely: Nominal level of the likely range.
        enough: Nominal level of the stop signal. Both are those that held what is promised on
            searches that the map was not learnt from.
    """

    middle: Doubles
    spread: Doubles
    likely: float
    enough: float

    def among(self, n: int) -> tuple[Doubles, Doubles]:
        """The map [4] of a search among n pictures, and its covariance [4, 4].

        How many of a kind there are grows with a library, for most kinds by less than it does.
        """
        growth = np.log(max(n, 1) / _MEASURED_ON)
        middle, spread = self.middle.copy(), self.spread.copy()
        middle[0] -= (1 - _GROWTH) * growth
        spread[0, 0] += (_GROWTH_SPREAD * growth) ** 2
        return middle, spread


USUAL = UsualMap(
    np.array([-6.254, 0.693, 0.865, 0.388]),
    np.array(
        [
            [0.678, -0.116, 0.039, -0.063],
            [-0.116, 0.064, -0.031, -0.022],
            [0.039, -0.031, 0.139, -0.036],
            [-0.063, -0.022, -0.036, 0.093],
        ]
    ),
    likely=0.89,
    enough=0.87,
)
"""Learnt by training/remaining.py, on pictures that the encoder had not been trained on."""


@dataclass(frozen=True, slots=True, eq=False)
class Remaining:
    """How many pictures of the kind are left.

    Args:
        chances: [n] of every picture; 1 and 0 where somebody has looked.
        n_unseen: Pictures that nobody has looked at.
        n_relevant: Pictures that were marked relevant.
        spread: Variance of the logarithm of the number left, as far as the map is unsure.
        usual: What was known before.
    """

    chances: Doubles
    n_unseen: int
    n_relevant: int
    spread: float
    usual: UsualMap = field(default_factory=lambda: USUAL)

    @property
    def expected(self) -> float:
        """How many are left, on average."""
        return float(self.chances.sum()) - self.n_relevant

    def numbers(self) -> Doubles:
        """[k] probability of each number left, from 0: a Poisson number whose mean is unsure.

        Source: the negative binomial as a mixture, Johnson, Kemp and Kotz, "Univariate discrete
        distributions" (2005), chapter 5.
        """
        if not self.n_unseen:
            return np.ones(1)
        mean = max(self.expected, 1e-9) * np.exp(min(self.spread, 6.0) / 2)
        shape = 1.0 / np.expm1(np.clip(self.spread, 1e-3, 6.0))
        share = mean / (mean + shape)
        number = np.arange(1, min(self.n_unseen, _MOST) + 1)
        steps = np.log(share) + np.log((number - 1 + shape) / number)
        logs = np.concatenate([[0.0], np.cumsum(steps)])
        chances = np.exp(logs - logs.max())
        probabilities: Doubles = chances / chances.sum()
        return probabilities

    def likely(self) -> tuple[int, int]:
        """The shortest range of numbers left that holds with `CONFIDENCE`."""
        below = np.concatenate([[0.0], np.cumsum(self.numbers())])
        last = np.searchsorted(below, below[:-1] + self.usual.likely - 1e-12)
        widths = np.where(last < len(below), last - np.arange(len(last)), len(below) + 1)
        first = int(widths.argmin())
        return first, min(int(last[first]), len(below) - 1) - 1

    @property
    def enough_chance(self) -> float:
        """Probability that `RECALL` of all is marked relevant."""
        allowed = int(self.n_relevant * (1 - RECALL) / RECALL + 1e-9)
        return float(self.numbers()[: allowed + 1].sum())

    @property
    def is_enough(self) -> bool:
        """The stop signal: `RECALL` of all is marked relevant, with `CONFIDENCE`."""
        return self.n_relevant > 0 and self.enough_chance >= self.usual.enough


def features(scores: Floats, likeness: Floats, relevant: Ints, irrelevant: Ints) -> Doubles:
    """What the map reads of each picture, [n, 4]: a constant, and three standard scores.

    A judged picture is no part of the side that it is compared with, as an unseen one is not.

    Args:
        scores: [n] for the first query.
        likeness: [n, 2] sums of the inner products with each picture marked relevant and each
            looked at and not relevant; of vectors whose mean is taken off, scaled to length one.
        relevant: Positions of the pictures marked relevant.
        irrelevant: Of those looked at and not marked so.
    """
    table = np.zeros((len(scores), 4))
    table[:, 0] = 1.0
    table[:, 1] = _standard(scores.astype(np.float64))[0]
    for column, places in ((0, relevant), (1, irrelevant)):
        k = len(places)
        if not k:
            continue
        sums = likeness[:, column].astype(np.float64)
        values, mean, deviation = _standard(sums / k)
        others = (sums[places] - 1.0) / max(k - 1, 1)
        values[places] = (others - mean) / deviation if k > 1 else 0.0
        table[:, 2 + column] = values * k / (k + _FEW)
    return table


def _standard(values: Doubles) -> tuple[Doubles, float, float]:
    """Standard scores [n], with the mean and deviation they are of."""
    mean, deviation = float(values.mean()), max(float(values.std()), 1e-6)
    return (values - mean) / deviation, mean, deviation


def remaining(
    table: Doubles, relevant: Ints, irrelevant: Ints, usual: UsualMap = USUAL
) -> Remaining:
    """How many of the kind are left.

    Args:
        table: [n, 4], as `features` gives it.
        relevant: Positions of the pictures marked relevant.
        irrelevant: Of those looked at and not marked so.
        usual: What is known before.
    """
    middle, spread = usual.among(len(table))
    seen = np.concatenate([relevant, irrelevant]).astype(np.int64)
    shown = np.concatenate([np.ones(len(relevant)), np.zeros(len(irrelevant))])
    precision = np.linalg.inv(spread).astype(np.float64)
    learnt, covariance = fitted(table[seen], shown, middle, precision)
    chances = _logistic(table @ learnt)
    chances[seen] = 0.0
    expected = max(float(chances.sum()), 1e-12)
    slope = (chances * (1 - chances)) @ table / expected  # of the logarithm of the number left
    chances[relevant] = 1.0
    n_unseen = len(table) - len(seen)
    doubt = float(slope @ covariance @ slope)
    return Remaining(chances, n_unseen, len(relevant), doubt, usual)


def fitted(
    table: Doubles, shown: Doubles, middle: Doubles, precision: Doubles
) -> tuple[Doubles, Doubles]:
    """A search's own map [4] and its covariance [4, 4], by Newton's method.

    Args:
        table: [k, 4] of the pictures looked at.
        shown: [k] 1 for relevant, 0.
        middle: [4] the usual map.
        precision: [4, 4] inverse covariance of maps.
    """
    learnt = middle.copy()
    for _ in range(_STEPS):
        chances = _logistic(table @ learnt)
        gradient = table.T @ (shown - chances) - precision @ (learnt - middle)
        step = np.linalg.solve(_curvature(table, chances, precision), gradient)
        longest = float(np.abs(step).max())
        learnt += step * min(1.0, _STEP / max(longest, 1e-12))
        if longest < 1e-6:
            break
    curvature = _curvature(table, _logistic(table @ learnt), precision)
    return learnt, np.linalg.inv(curvature).astype(np.float64)


def _curvature(table: Doubles, chances: Doubles, precision: Doubles) -> Doubles:
    curvature: Doubles = (table.T * (chances * (1 - chances))) @ table + precision
    return curvature


def _logistic(values: Doubles) -> Doubles:
    logistic: Doubles = 1.0 / (1.0 + np.exp(-np.clip(values, -30, 30)))
    return logistic
