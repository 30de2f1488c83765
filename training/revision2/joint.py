"""The vector that ships: base and members side by side, projected to the base's width."""

import torch
from heads import DIM, Features, Member
from torch import Tensor, nn
from torch.nn import functional as fn

# How much captions count beside pictures when the projection is chosen.
WORDS_WEIGHT = 3.0


class Joint(nn.Module):
    """Turns what the base's towers and the members say into one vector.

    Args:
        members: trained heads.
        base_weight: of the base's vector beside all members together.
    """

    def __init__(self, members: list[Member], base_weight: float):
        super().__init__()
        self.members = nn.ModuleList(members)
        total = (base_weight**2 + 1) ** 0.5
        self.of_base = base_weight / total
        self.of_member = 1 / (total * len(members) ** 0.5)
        self.register_buffer("projection", torch.eye(DIM * (len(members) + 1), DIM))

    def stacked(self, heads: list[Tensor], base: Tensor) -> Tensor:
        """Base and members side by side: [..., DIM * (k + 1)] unit rows."""
        return torch.cat([self.of_base * base, *(self.of_member * h for h in heads)], -1)

    def see(self, pooled: Tensor, base: Tensor) -> Tensor:
        """[n, t, p], [n, t, DIM] -> [n, t, DIM] unit rows."""
        stacked = self.stacked([m.pictures(pooled) for m in self.members], base)
        return fn.normalize(stacked @ self.projection, dim=-1)

    def read(self, features: Tensor, base: Tensor) -> Tensor:
        """[n, w], [n, DIM] -> [n, DIM] unit rows."""
        stacked = self.stacked([m.words(features) for m in self.members], base)
        return fn.normalize(stacked @ self.projection, dim=-1)


def joint_projection(joint: Joint, features: Features, tiles: Tensor, words: Tensor) -> Tensor:
    """[DIM * (k + 1), DIM] the directions in which pictures and captions vary most."""
    with torch.no_grad():
        heads = [m.pictures(features.pictures[0]) for m in joint.members]
        seen = joint.stacked(heads, tiles).flatten(0, 1)
        read = joint.stacked([m.words(features.captions) for m in joint.members], words)
    moment = seen.T @ seen / len(seen) + WORDS_WEIGHT * read.T @ read / len(read)
    return torch.linalg.eigh(moment)[1][:, -DIM:].contiguous()
