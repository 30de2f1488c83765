"""The vector that ships: base and members projected together, beside a visual part."""

import torch
from heads import DIM, Features, Member
from torch import Tensor, nn
from torch.nn import functional as fn

N_VISUAL = 128
# Length of the visual part of a picture's vector; the joint part has the rest.
VISUAL_SHARE = 0.5
# How much captions count beside pictures when the projection is chosen.
WORDS_WEIGHT = 3.0


class Joint(nn.Module):
    """Turns what the base's towers and the members say into one vector.

    Args:
        members: trained heads.
        base_weight: of the base's vector beside all members together.
        visual: [p, N_VISUAL + 1] from `visual_projection`.
    """

    def __init__(self, members: list[Member], base_weight: float, visual: Tensor):
        super().__init__()
        self.members = nn.ModuleList(members)
        total = (base_weight**2 + 1) ** 0.5
        self.of_base = base_weight / total
        self.of_member = 1 / (total * len(members) ** 0.5)
        self.register_buffer("projection", torch.eye(DIM * (len(members) + 1), DIM))
        self.register_buffer("visual", visual)

    def stacked(self, heads: list[Tensor], base: Tensor) -> Tensor:
        """Base and members side by side: [..., DIM * (k + 1)] unit rows."""
        return torch.cat([self.of_base * base, *(self.of_member * h for h in heads)], -1)

    def see(self, pooled: Tensor, base: Tensor) -> Tensor:
        """[n, t, p], [n, t, DIM] -> [n, t, DIM + N_VISUAL] unit rows."""
        stacked = self.stacked([m.pictures(pooled) for m in self.members], base)
        joint = fn.normalize(stacked @ self.projection, dim=-1)
        visual = fn.normalize(pooled @ self.visual[:-1] + self.visual[-1], dim=-1)
        return torch.cat([(1 - VISUAL_SHARE**2) ** 0.5 * joint, VISUAL_SHARE * visual], -1)

    def read(self, features: Tensor, base: Tensor) -> Tensor:
        """[n, w], [n, DIM] -> [n, DIM + N_VISUAL] unit rows; words have no visual part."""
        stacked = self.stacked([m.words(features) for m in self.members], base)
        joint = fn.normalize(stacked @ self.projection, dim=-1)
        return torch.cat([joint, torch.zeros_like(joint[:, :N_VISUAL])], -1)


def joint_projection(joint: Joint, features: Features, tiles: Tensor, words: Tensor) -> Tensor:
    """[DIM * (k + 1), DIM] the directions in which pictures and captions vary most."""
    with torch.no_grad():
        heads = [m.pictures(features.pictures[0]) for m in joint.members]
        seen = joint.stacked(heads, tiles).flatten(0, 1)
        read = joint.stacked([m.words(features.captions) for m in joint.members], words)
    moment = seen.T @ seen / len(seen) + WORDS_WEIGHT * read.T @ read / len(read)
    return torch.linalg.eigh(moment)[1][:, -DIM:].contiguous()


def visual_projection(pooled: Tensor) -> Tensor:
    """Whitened principal directions of pooled features.

    Args:
        pooled: [n, p] of the train pictures.

    Returns:
        [p + 1, N_VISUAL]; the last row is the offset that centres.
    """
    mean, scale = pooled.mean(0), 1 / (pooled.std(0) + 0.05)
    x = (pooled - mean) * scale
    values, directions = torch.linalg.eigh(x.T @ x / len(x))
    # Square-root whitening: plain directions leave a few that drown the others.
    top = directions[:, -N_VISUAL:] * values[-N_VISUAL:].clamp(min=1e-6) ** -0.25
    weights = scale[:, None] * top
    return torch.cat([weights, -(mean @ weights)[None]])
