"""What both towers share with those who train them: tiles, and the heads that are trained.

Shapes: n pictures, t tiles, d dimensions. All vectors leave with unit length.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from words import N_READ, WIDTH

N_FEATURES = 1280
N_CLASSES = 1000
DIM = 384
GRID = 7
WINDOWS = (  # top, bottom, left, right in cells of the 7x7 grid; the first is the whole picture
    (0, 7, 0, 7),
    (0, 4, 0, 4),
    (0, 4, 3, 7),
    (3, 7, 0, 4),
    (3, 7, 3, 7),
    (2, 5, 2, 5),
)


def boxes() -> list[list[float]]:
    """The tiles' boxes, x0, y0, x1, y1 relative to the picture, in output order."""
    return [[x0 / GRID, y0 / GRID, x1 / GRID, y1 / GRID] for y0, y1, x0, x1 in WINDOWS]


def pooling() -> Tensor:
    """What each window takes of each cell: float [49,t], columns summing to one."""
    masks = torch.zeros(len(WINDOWS), GRID, GRID)
    for mask, (top, bottom, left, right) in zip(masks, WINDOWS, strict=True):
        mask[top:bottom, left:right] = 1.0 / ((bottom - top) * (right - left))
    return masks.flatten(1).T.contiguous()


class PictureHead(nn.Module):
    """A tile's features to a unit vector: a linear map, a hidden layer, and named classes.

    The last part mixes the class names' own vectors by ImageNet's class probabilities (ConSE,
    Norouzi et al., arXiv 1312.5650). The names are the text tower's vectors, kept equal to it
    by `rename`, so that nouns no caption used are found; an unsure classifier adds little.

    Args:
        mean, deviation: of the features, [N_SEEN].
        hidden: width of the hidden layer.
    """

    def __init__(self, mean: Tensor, deviation: Tensor, hidden: int = 1024):
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("scale", 1.0 / (deviation + 0.05))
        self.linear = nn.Linear(len(mean), DIM)
        self.expand = nn.Linear(len(mean), hidden)
        self.contract = nn.Linear(hidden, DIM)
        self.drop_features, self.drop_hidden = nn.Dropout(0.2), nn.Dropout(0.3)
        self.register_buffer("names", torch.zeros(N_CLASSES, DIM))

    def rename(self, vectors: Tensor) -> None:
        """Takes the class names' vectors [1000,d], centred so that they add no common part."""
        self.names.copy_(functional.normalize(vectors - vectors.mean(0), dim=-1))

    def forward(self, seen: Tensor, named: Tensor) -> Tensor:
        """Features [...,N_SEEN] and class probabilities [...,1000] -> unit [...,d]."""
        x = self.drop_features((seen - self.mean) * self.scale)
        y = self.linear(x) + self.contract(self.drop_hidden(functional.gelu(self.expand(x))))
        with torch.autocast("cpu", enabled=False):
            y = functional.normalize(y.float(), dim=-1) + named @ self.names
        return functional.normalize(y, dim=-1)


class TextHead(nn.Module):
    """What the words say at their depths to a unit vector: one linear map.

    It starts as the identity of the last depth, with a little noise for the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(N_READ, DIM)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)
        with torch.no_grad():
            self.linear.weight[:, -WIDTH:] += torch.eye(DIM, WIDTH)

    def forward(self, read: Tensor) -> Tensor:  # [n,N_READ] -> unit [n,d]
        return functional.normalize(self.linear(read).float(), dim=-1)


class Member(nn.Module):
    """A pair of heads that were trained together."""

    def __init__(self, mean: Tensor, deviation: Tensor):
        super().__init__()
        self.pictures = PictureHead(mean, deviation)
        self.words = TextHead()


class Committee(nn.Module):
    """Several members' vectors side by side, projected to d numbers.

    Args:
        members: trained pairs of heads.
        classifier: ImageNet's, 1280 -> 1000, as published.
    """

    def __init__(self, members: list[Member], classifier: nn.Linear):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.classifier = classifier
        self.register_buffer("projection", torch.eye(DIM * len(members), DIM))

    def side_by_side_pictures(self, seen: Tensor) -> Tensor:  # [n,t,N_SEEN] -> unit [n,t,k*d]
        named = torch.softmax(self.classifier(seen[..., :N_FEATURES]), -1)
        parts = [member.pictures(seen, named) for member in self.members]
        return torch.cat(parts, -1) / len(parts) ** 0.5

    def side_by_side_words(self, read: Tensor) -> Tensor:  # [n,N_READ] -> unit [n,k*d]
        return torch.cat([m.words(read) for m in self.members], -1) / len(self.members) ** 0.5

    def see(self, seen: Tensor) -> Tensor:  # [n,t,N_SEEN] -> unit [n,t,d]
        return functional.normalize(self.side_by_side_pictures(seen) @ self.projection, dim=-1)

    def read(self, read: Tensor) -> Tensor:  # [n,N_READ] -> unit [n,d]
        return functional.normalize(self.side_by_side_words(read) @ self.projection, dim=-1)
