"""The two towers as they ship: bytes to tile vectors, token ids to one vector.

Shapes: n pictures, t tiles, d dimensions. All vectors leave with unit length.
"""

import torch
from backbone import Backbone
from torch import Tensor, nn
from torch.nn import functional
from words import WIDTH, Words

N_FEATURES = 1280
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


class ImageHead(nn.Module):
    """Pooled features to a unit vector: a linear map, a hidden layer, and named classes.

    The last part mixes the class names' own vectors by ImageNet's class probabilities (ConSE,
    Norouzi et al., arXiv 1312.5650). The names are the text tower's vectors, kept equal to it
    by `rename`, so that nouns no caption used are found; an unsure classifier adds little.

    Args:
        mean, deviation: of the pooled features, [1280].
        classifier: the published ImageNet classifier, 1280 -> 1000.
        dim: d.
        hidden: width of the hidden layer.
    """

    def __init__(
        self, mean: Tensor, deviation: Tensor, classifier: nn.Linear, dim: int, hidden: int = 1024
    ):
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("scale", 1.0 / (deviation + 0.05))
        self.linear = nn.Linear(N_FEATURES, dim)
        self.expand = nn.Linear(N_FEATURES, hidden)
        self.contract = nn.Linear(hidden, dim)
        self.drop_features, self.drop_hidden = nn.Dropout(0.2), nn.Dropout(0.3)
        self.classifier = nn.Linear(N_FEATURES, classifier.out_features)
        self.classifier.load_state_dict(classifier.state_dict())
        self.classifier.requires_grad_(False)
        self.register_buffer("names", torch.zeros(classifier.out_features, dim))
        self.register_buffer("gain", torch.tensor(1.0))

    def rename(self, vectors: Tensor) -> None:
        """Takes the class names' vectors [1000,d], centred so that they add no common part."""
        self.names.copy_(functional.normalize(vectors - vectors.mean(0), dim=-1))

    def forward(self, pooled: Tensor) -> Tensor:  # [...,1280] -> unit [...,d]
        x = self.drop_features((pooled - self.mean) * self.scale)
        seen = self.linear(x) + self.contract(self.drop_hidden(functional.gelu(self.expand(x))))
        named = torch.softmax(self.classifier(pooled), -1) @ self.names
        return functional.normalize(functional.normalize(seen, dim=-1) + self.gain * named, dim=-1)


class TextHead(nn.Module):
    """A sentence vector to the shared space: one linear map that starts as the identity."""

    def __init__(self, dim: int):
        super().__init__()
        self.linear = nn.Linear(WIDTH, dim)
        nn.init.eye_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, sentence: Tensor) -> Tensor:  # [n,384] -> unit [n,d]
        return functional.normalize(
            self.linear(functional.normalize(sentence, dim=-1) * WIDTH**0.5), dim=-1
        )


class ImageTower(nn.Module):
    """Bytes to tiles: uint8 [n,224,224,3] -> unit [n,t,d]."""

    def __init__(self, backbone: Backbone, head: ImageHead):
        super().__init__()
        self.backbone, self.head = backbone, head
        self.register_buffer("windows", pooling())

    def forward(self, pixels: Tensor) -> Tensor:
        grid = self.backbone(pixels).flatten(2)  # [n,1280,49]
        return self.head((grid @ self.windows).transpose(1, 2))


class TextTower(nn.Module):
    """Token ids to one vector: int64 [n,l] twice -> unit [n,d]."""

    def __init__(self, words: Words, head: TextHead):
        super().__init__()
        self.words, self.head = words, head

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.words(ids, mask))
