"""Both networks as the heads stand on them: as published, or as `finetune.py` left them."""

from pathlib import Path

import torch
from backbone import Backbone
from eye import Eye
from torch import Tensor, nn
from words import Words

LITE = 2


class Networks:
    """The picture network, ImageNet's classifier behind it, and the words.

    Args:
        towers: the file that `finetune.py` kept; as published when None.

    Attributes:
        eye: bytes to tiles' features.
        classifier: 1280 -> 1000.
        words: token ids to what is read.
    """

    def __init__(self, towers: Path | None = None):
        backbone = Backbone(LITE)
        self.classifier: nn.Linear = backbone.classifier
        self.eye, self.words = Eye(backbone), Words()
        if towers:
            state = torch.load(towers, weights_only=True)
            for name, part in (
                ("eye", self.eye),
                ("classifier", self.classifier),
                ("words", self.words),
            ):
                part.load_state_dict(_below(state, f"{name}."), strict=name != "eye")
        for part in (self.eye, self.classifier, self.words):
            part.eval().requires_grad_(False)


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The part of a state whose names begin so, as floats."""
    return {k.removeprefix(prefix): v.float() for k, v in state.items() if k.startswith(prefix)}
