"""Minimising a smooth function of a few hundred numbers. Layer: feedback."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from relook.feedback.scorer import Doubles

__all__ = ["minimise"]

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
