"""What the picture tower sees: pooled features of several depths of the backbone, tile by tile.

The last map says what is there; earlier maps keep colours, textures and counts that an
ImageNet classifier has no use for. Each map is averaged down to 7x7 cells, and each tile takes
mean and deviation of its cells' numbers; of the last map it takes the mean.
"""

import torch
from backbone import Backbone, Block
from torch import Tensor, nn
from torch.nn import functional
from towers import GRID, N_FEATURES, pooling

STAGES = (24, 48, 88, 120, 208, 352)
"""Channels of the maps that are pooled beside the last one, from the shallowest on."""


N_SEEN = N_FEATURES + 2 * sum(STAGES)
"""Numbers of a tile: the last map's means, then mean and deviation of each stage's map."""


class Eye(nn.Module):
    """Bytes to tiles' features: uint8 [n,224,224,3] -> float [n,t,N_SEEN]."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone
        self.register_buffer("windows", pooling())

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.backbone.normalise(pixels)
        depths = []
        layers = list(self.backbone.layers)
        for layer, after in zip(layers, [*layers[1:], None], strict=True):
            x = layer(x)
            if isinstance(layer, Block) and _ends_stage(layer, after):
                depths.append(x)
        chosen = [d for d in depths if d.shape[1] in STAGES]
        with torch.autocast(x.device.type, enabled=False):
            return torch.cat([self._mean(x), *(self._depth(d) for d in chosen)], -1)

    def _mean(self, grid: Tensor) -> Tensor:  # [n,c,7,7] -> [n,t,c]
        return (grid.float().flatten(2) @ self.windows).transpose(1, 2)

    def _depth(self, x: Tensor) -> Tensor:  # [n,c,h,h] -> [n,t,2c]
        x = x.float()
        step = x.shape[-1] // GRID
        if step > 1:
            mean = functional.avg_pool2d(x, step)
            square = functional.avg_pool2d(x * x, step)
        else:
            mean, square = x, x * x
        mean, square = self._mean(mean), self._mean(square)
        return torch.cat([mean, (square - mean * mean).clamp(min=1e-6).sqrt()], -1)


def _ends_stage(block: Block, after: nn.Module | None) -> bool:
    """Whether the next layer makes another number of channels."""
    width = block.parts[-1].conv.out_channels
    return not isinstance(after, Block) or after.parts[-1].conv.out_channels != width
