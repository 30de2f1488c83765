"""How a broken promise is reported, and what every adapter's class declares. Layer: testing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ContractError", "check_adapter", "close_to", "require", "unit_rows"]

TOLERANCE = 1e-4


class ContractError(AssertionError):
    """An adapter breaks a promise of its seam."""


def check_adapter(adapter: type) -> None:
    """Checks what a class declares that an entry point names: how it opens, and its facts.

    Args:
        adapter: The class; its own suite (`check_provider`, ...) checks what it does.

    Raises:
        ContractError: with the first declaration that is missing.
    """
    opens = getattr(adapter, "open", None)
    require(getattr(opens, "__self__", None) is adapter, "`open(spec, settings)` is a classmethod")
    remote, needs = getattr(adapter, "remote", None), getattr(adapter, "needs", None)
    require(isinstance(remote, bool), "`remote` says whether it may send anything", remote)
    texts = isinstance(needs, tuple) and all(isinstance(need, str) for need in needs)
    require(texts, "`needs` is a tuple of words", needs)


def require(kept: bool | np.bool_, promise: str, found: object = None) -> None:
    """Raises unless a promise is kept.

    Args:
        kept: Whether it is.
        promise: What the seam promises, as a sentence.
        found: What the adapter gave instead; shown when it is not None.

    Raises:
        ContractError: when it is not.
    """
    if not kept:
        raise ContractError(promise if found is None else f"{promise}; found: {found!r}")


def unit_rows(vectors: NDArray[np.float32], what: str) -> None:
    """Requires finite rows of length one.

    Args:
        vectors: [n, d]
        what: What they are vectors of, for the message.
    """
    require(bool(np.isfinite(vectors).all()), f"{what}: every number is finite")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=-1)  # [n]
    worst = float(np.abs(lengths - 1.0).max(initial=0.0))
    require(worst <= 1e-3, f"{what}: every row has length 1", f"one is off by {worst:.4f}")


def close_to(
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    promise: str,
    tolerance: float = TOLERANCE,
) -> None:
    """Requires two arrays to be equal within a tolerance; that of the seams is 1e-4."""
    require(one.shape == other.shape, promise, f"shapes {one.shape} and {other.shape}")
    apart = float(np.abs(one.astype(np.float64) - other).max(initial=0.0))
    require(apart <= tolerance, promise, f"they are {apart:.5f} apart")
