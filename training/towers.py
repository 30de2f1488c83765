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
N_PROJECTED = DIM - 2
HUB_WEIGHT = 0.65
"""How much of a picture's likeness to the captions nearest to it is taken off its scores."""
HUB_NEAREST = 32
N_HUB_QUERIES = 1000
TEXT_CONSTANT = 0.5
PICTURE_LENGTH = 0.92
"""Length of a picture's projected vector within its unit vector; the rest holds the hub numbers."""
GRID = 7
PARTS_HIDDEN = 512
"""Width of the hidden layer of the parts' head."""
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
        named: how much the class names add; none for a member that reads captions alone.
    """

    def __init__(self, mean: Tensor, deviation: Tensor, hidden: int = 1024, named: float = 1.0):
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("scale", 1.0 / (deviation + 0.05))
        self.linear = nn.Linear(len(mean), DIM)
        self.expand = nn.Linear(len(mean), hidden)
        self.contract = nn.Linear(hidden, DIM)
        self.drop_features, self.drop_hidden = nn.Dropout(0.2), nn.Dropout(0.3)
        self.register_buffer("names", torch.zeros(N_CLASSES, DIM))
        self.register_buffer("gain", torch.tensor(named))

    def rename(self, vectors: Tensor) -> None:
        """Takes the class names' vectors [1000,d], centred so that they add no common part."""
        self.names.copy_(functional.normalize(vectors - vectors.mean(0), dim=-1))

    def forward(self, seen: Tensor, named: Tensor) -> Tensor:
        """Features [...,N_SEEN] and class probabilities [...,1000] -> unit [...,d]."""
        x = self.drop_features((seen - self.mean) * self.scale)
        y = self.linear(x) + self.contract(self.drop_hidden(functional.gelu(self.expand(x))))
        with torch.autocast(seen.device.type, enabled=False):
            y = functional.normalize(y.float(), dim=-1)
            if self.gain > 0:
                y = y + self.gain * (named @ self.names)
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
    """Heads that were trained together: whole pictures, their parts, words.

    Parts have a head of their own: a part's features are of fewer cells and of smaller things,
    and one head for both serves neither.

    Args:
        mean, deviation: of whole pictures' features, [N_SEEN].
        named: how much the class names add to whole pictures.
    """

    def __init__(self, mean: Tensor, deviation: Tensor, named: float = 1.0):
        super().__init__()
        self.pictures = PictureHead(mean, deviation, named=named)
        self.parts = PictureHead(mean, deviation, hidden=PARTS_HIDDEN, named=0.0)
        self.words = TextHead()

    def see(self, seen: Tensor, named: Tensor) -> Tensor:
        """Features [n,t,N_SEEN] and class probabilities [n,t,1000] -> unit [n,t,d]."""
        whole = self.pictures(seen[:, :1], named[:, :1])
        return torch.cat([whole, self.parts(seen[:, 1:], named[:, 1:])], 1)


class Committee(nn.Module):
    """The members' vectors side by side, a base's beside them, projected to d - 2 numbers.

    The shipped model has no base; it is the base of a person's own.

    The last two numbers take hubs down: pictures that are near captions of every kind come up
    for everything. A picture's score is less by its mean likeness to the captions nearest to it
    (half of CSLS, Conneau et al., arXiv 1710.04087; a query bank as in Bogolin et al., arXiv
    2112.12777). Texts have a constant there, so that a dot product stays all that a search needs;
    the very last number makes pictures' vectors unit vectors, and is zero for texts.

    Args:
        members: trained pairs of heads.
        classifier: ImageNet's, 1280 -> 1000, as published.
        base_weight: of the base's vector beside one member's; 0 where there is no base.
        trims: whether the base has hub numbers of its own, which are then made anew for all.
    """

    def __init__(
        self,
        members: list[Member],
        classifier: nn.Linear,
        base_weight: float,
        trims: bool = False,
    ):
        super().__init__()
        self.trims = trims
        self.members = nn.ModuleList(members)
        self.classifier = classifier
        total = (base_weight**2 + len(members)) ** 0.5
        self.of_base, self.of_member = base_weight / total, 1.0 / total
        n_parts = len(members) + (base_weight > 0)
        self.register_buffer("projection", torch.eye(DIM * n_parts, N_PROJECTED))
        self.register_buffer("queries", torch.zeros(N_PROJECTED, HUB_NEAREST))

    def _beside(self, base: Tensor | None, parts: list[Tensor]) -> Tensor:
        weighted = [self.of_member * part for part in parts]
        if base is None:
            return torch.cat(weighted, -1)
        if self.trims:
            base = functional.normalize(base[..., :N_PROJECTED], dim=-1)
            base = functional.pad(base, (0, DIM - N_PROJECTED))
        return torch.cat([self.of_base * base, *weighted], -1)

    def side_by_side_pictures(self, seen: Tensor, base: Tensor | None = None) -> Tensor:
        """Features [n,t,N_SEEN] and the base's vectors [n,t,d] -> unit [n,t,k*d]."""
        named = torch.softmax(self.classifier(seen[..., :N_FEATURES]), -1)
        return self._beside(base, [member.see(seen, named) for member in self.members])

    def side_by_side_words(self, read: Tensor, base: Tensor | None = None) -> Tensor:
        """What was read [n,N_READ] and the base's vectors [n,d] -> unit [n,k*d]."""
        return self._beside(base, [member.words(read) for member in self.members])

    def ask(self, read: Tensor, base: Tensor | None = None) -> None:
        """Takes the captions [q,N_READ], [q,d] by which hubs are told."""
        self.queries = self._project(self.side_by_side_words(read, base)).T.contiguous()

    def _project(self, joined: Tensor) -> Tensor:
        return functional.normalize(joined @ self.projection, dim=-1)

    def see(self, seen: Tensor, base: Tensor | None = None) -> Tensor:
        """[n,t,N_SEEN], [n,t,d] -> unit [n,t,d]."""
        vectors = self._project(self.side_by_side_pictures(seen, base))
        nearest = (vectors @ self.queries).topk(HUB_NEAREST, -1).values
        hub = -HUB_WEIGHT / TEXT_CONSTANT * nearest.mean(-1, keepdim=True)
        rest = (1.0 / PICTURE_LENGTH**2 - 1.0 - hub * hub).clamp(min=0.0).sqrt()
        return functional.normalize(torch.cat([vectors, hub, rest], -1), dim=-1)

    def read(self, read: Tensor, base: Tensor | None = None) -> Tensor:
        """[n,N_READ], [n,d] -> unit [n,d]."""
        vectors = self._project(self.side_by_side_words(read, base))
        length = (1.0 + TEXT_CONSTANT**2) ** 0.5
        constant = torch.full_like(vectors[:, :1], TEXT_CONSTANT)
        return torch.cat([vectors, constant, torch.zeros_like(constant)], -1) / length
