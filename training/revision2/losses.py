"""Contrastive losses with several right answers a row."""

import torch
from torch import Tensor


def one_way(logits: Tensor, right: Tensor) -> Tensor:
    """Mean cross-entropy of rows against their right columns.

    Args:
        logits: [a,b].
        right: bool [a,b]; rows with no right column are left out.
    """
    kept = right.any(1)
    chance, right = logits[kept].log_softmax(-1), right[kept].float()
    return -((chance * right).sum(1) / right.sum(1)).mean()


def both_ways(logits: Tensor, right: Tensor) -> Tensor:
    """Pictures against texts and texts against pictures, averaged."""
    return (one_way(logits, right) + one_way(logits.T, right.T)) / 2


def soft_best(tiles: Tensor, texts: Tensor, scale: Tensor, sharpness: float = 2.0) -> Tensor:
    """Logits of pictures by their best tile, softly: [n,t,d], [q,d] -> [n,q]."""
    scores = torch.einsum("ntd,qd->nqt", tiles, texts) * scale
    return torch.logsumexp(scores * sharpness, -1) / sharpness


def same(a: Tensor, b: Tensor) -> Tensor:
    """Which pairs carry the same number: [n], [q] -> bool [n,q]."""
    return a[:, None] == b[None]
