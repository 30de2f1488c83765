"""A logistic probe that is tied to the query. Layer: feedback."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.feedback.judged import Evidence
from relook.feedback.rocchio import named
from relook.feedback.scorer import Contribution, Doubles, LinearScorer, linear


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """Weights of the loss.

    Args:
        norm: Of the term that keeps the vector's length near one.
        query: Of the term that keeps its direction near the query's.
        iterations: At most so many descent steps.
    """

    norm: float = 100.0
    query: float = 10.0
    iterations: int = 100


STANDARD = ProbeOptions()


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Labelled tiles.

    Args:
        vectors: [r, d] centred by their mean.
        labels: [r] 1.0 or 0.0.
        weights: [r] a picture's tiles share its judgement's weight.
        owner: [r] position of the judgement each row comes from.
    """

    vectors: Doubles
    labels: Doubles
    weights: Doubles
    owner: NDArray[np.int64]


def rows_of(evidence: Evidence) -> Rows:
    """The tiles of everything judged: covered ones by their sign, context as irrelevant."""
    vectors, labels, weights, owner = [], [], [], []
    for position, item in enumerate(evidence.items):
        around = item.context if item.sign > 0 else item.context[:0]
        n_rows = len(item.tiles) + len(around)
        vectors += [*item.tiles, *around]
        labels += [float(item.sign > 0)] * len(item.tiles) + [0.0] * len(around)
        weights += [item.weight / n_rows] * n_rows
        owner += [position] * n_rows
    stacked = np.asarray(vectors, dtype=np.float64)  # [r, d]
    centred = stacked - stacked.mean(axis=0)
    return Rows(centred, np.array(labels), _balanced(labels, weights), np.array(owner))


def _balanced(labels: Sequence[float], weights: Sequence[float]) -> Doubles:
    """Relevant rows weigh as much as irrelevant ones together; the total stays."""
    label, weight = np.array(labels), np.array(weights)
    ratio = (weight[label == 0].sum() + 1) / (weight[label == 1].sum() + 1)
    scaled = weight * np.where(label == 1, ratio, 1.0)
    return np.asarray(scaled * weight.sum() / scaled.sum())


def probe(evidence: Evidence, options: ProbeOptions = STANDARD) -> LinearScorer:
    """The direction that tells relevant tiles from irrelevant ones without leaving the query.

    Minimises, over w from q on, with X centred and s balanced:
    `sum s BCE(w.x, y) + n (cosh(log w.w) - 1) + l (1 - cos(w, q)) / 2`.
    At the minimum the gradient is zero, which makes w a sum of the rows and the query;
    that sum is what `parts` holds.

    Source: SeeSaw (arXiv 2208.06497), section 4 and multi_reg.py, its own constants.
    """
    query = evidence.query.astype(np.float64)
    if not evidence.items:
        return linear([Contribution("query", query)])
    rows = rows_of(evidence)
    objective = _Loss(rows, query, options)
    w = minimise(objective, query, iterations=options.iterations, tolerance=1e-5)
    return linear(_parts(evidence, rows, w, objective))


@dataclass(frozen=True, slots=True, eq=False)
class _Loss:
    rows: Rows
    query: Doubles
    options: ProbeOptions

    def __call__(self, w: Doubles) -> tuple[float, Doubles]:
        length2 = float(w @ w)
        length = float(np.sqrt(length2))
        logits = self.rows.vectors @ w  # [r]
        loss = float(self.rows.weights @ (np.logaddexp(0.0, logits) - self.rows.labels * logits))
        slope = -self.rows.vectors.T @ self.residuals(w)  # [d]
        log = np.log(length2)
        loss += self.options.norm * float(np.cosh(log) - 1.0)
        cosine = float(w @ self.query) / length
        loss += self.options.query * (1.0 - cosine) / 2
        slope += self.pull(w) * w - self.options.query / (2 * length) * self.query
        return loss, slope

    def residuals(self, w: Doubles) -> Doubles:
        """[r] weighted label minus probability: how strongly each row still pulls."""
        chance = 1.0 / (1.0 + np.exp(-(self.rows.vectors @ w)))
        return np.asarray(self.rows.weights * (self.rows.labels - chance))

    def pull(self, w: Doubles) -> float:
        """The factor of w in the gradient of the norm and the query term."""
        length2 = float(w @ w)
        cosine = float(w @ self.query) / np.sqrt(length2)
        norm_term = self.options.norm * np.sinh(np.log(length2)) * 2 / length2
        return float(norm_term + self.options.query * cosine / (2 * length2))


def _parts(evidence: Evidence, rows: Rows, w: Doubles, loss: _Loss) -> list[Contribution]:
    """The rows' shares of w by judgement; the query's share is the rest."""
    pulled = rows.vectors * loss.residuals(w)[:, None]  # [r, d]
    sums = np.zeros((len(evidence.items), len(w)))
    np.add.at(sums, rows.owner, pulled)
    shares = sums / loss.pull(w)
    moves = [
        Contribution(named(item), share, item.judgement)
        for item, share in zip(evidence.items, shares, strict=True)
    ]
    return [Contribution("query", w - shares.sum(axis=0)), *moves]


# ---- minimising the loss


Objective = Callable[[Doubles], tuple[float, Doubles]]


def minimise(
    objective: Objective, start: Doubles, *, iterations: int = 100, tolerance: float = 1e-6
) -> Doubles:
    """The point that limited-memory BFGS reaches.

    Args:
        objective: Point [d] -> (value, gradient [d]).
        start: [d]
        iterations: At most so many steps.
        tolerance: Stop when the gradient's largest entry is below this share of its first.

    Returns:
        [d]

    Source: Nocedal and Wright, Numerical Optimization, algorithm 7.4, with backtracking
        to the Armijo condition; a pair enters the memory only when it keeps the
        approximation positive definite.
    """
    point = start.astype(np.float64)
    value, gradient = objective(point)
    enough = tolerance * max(float(np.abs(gradient).max()), 1e-12)
    memory: deque[tuple[Doubles, Doubles, float]] = deque(maxlen=10)
    for _ in range(iterations):
        if np.abs(gradient).max() <= enough:
            break
        step = _direction(gradient, memory)
        moved = _backtrack(objective, point, value, gradient, step)
        if moved is None:
            break
        new_point, value, new_gradient = moved
        difference, change = new_point - point, new_gradient - gradient
        curvature = float(difference @ change)
        if curvature > 1e-12:
            memory.append((difference, change, curvature))
        point, gradient = new_point, new_gradient
    return point


def _direction(gradient: Doubles, memory: deque[tuple[Doubles, Doubles, float]]) -> Doubles:
    """Minus the approximate inverse Hessian times the gradient (two-loop recursion)."""
    vector = gradient.copy()
    factors = []
    for difference, change, curvature in reversed(memory):
        factor = float(difference @ vector) / curvature
        factors.append(factor)
        vector -= factor * change
    if memory:
        _, change, curvature = memory[-1]
        vector *= curvature / float(change @ change)
    else:
        vector /= max(float(np.linalg.norm(vector)), 1.0)
    for (difference, change, curvature), factor in zip(memory, reversed(factors), strict=True):
        vector += difference * (factor - float(change @ vector) / curvature)
    return -vector


def _backtrack(
    objective: Objective, point: Doubles, value: float, gradient: Doubles, step: Doubles
) -> tuple[Doubles, float, Doubles] | None:
    """The first of the step, its half, ... that lowers the value enough; None if none does."""
    slope = float(gradient @ step)
    length = 1.0
    for _ in range(30):
        candidate = point + length * step
        new_value, new_gradient = objective(candidate)
        if new_value <= value + 1e-4 * length * slope:
            return candidate, new_value, new_gradient
        length /= 2
    return None
