"""From a picture to a tower's input, as a checkpoint's own processor says. Layer: encoders.

Resizing and cropping run in decoding threads, with Pillow, and give bytes; scaling to the
tower's range runs in torch or numpy on whole batches. The result is what transformers' Pillow
processors make (a test compares), without their cost a picture and without torchvision.

Source: the keys of `preprocessor_config.json` as Hugging Face transformers 5 documents them;
its `get_resize_output_image_size` and `center_crop` for how sizes are rounded. The keys of
`preprocess_cfg` as OpenCLIP writes them (`open_clip.transform.PreprocessCfg` and
`image_transform_v2`); torchvision's `center_crop`, which it uses, for how a crop is rounded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.core.errors import InputError, ModelError
from relook.core.types import WHOLE, Box
from relook.core.vectors import Floats

if TYPE_CHECKING:
    import torch
    from PIL import Image

_NO_KEY = (
    "use a checkpoint whose processor resizes, crops and normalises, as CLIP's and SigLIP's do"
)
# Sides of a picture in this proportion make it a strip.
_STRIP = 32
# Steps of other processors that would change the picture in ways that are not known here.
_OTHER_STEPS = ("do_pad", "do_image_splitting", "do_reduce_labels", "do_flip_channel_order")


@dataclass(frozen=True, slots=True)
class Pixels:
    """How pictures become input.

    Args:
        shortest_px: Length of the shorter side after resizing; 0 squashes to `height x width`.
        height_px, width_px: Of the input.
        resample: Pillow's number of the filter.
        scale: What bytes are multiplied with.
        mean, std: Of the channels, after that.
        rounds: Whether half a pixel beside a crop is rounded to an even number, as torchvision
            does, and not down, as transformers does.
    """

    shortest_px: int
    height_px: int
    width_px: int
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rounds: bool = False

    @classmethod
    def read(cls, config: Mapping[str, Any], image_px: int) -> Pixels:
        """Reads a processor's configuration.

        Args:
            config: Content of `preprocessor_config.json`.
            image_px: Side of the tower's input, for configurations that do not say.

        Raises:
            ModelError: `unknown_preprocessing` for steps that are not known here.
        """
        if "max_num_patches" in config:
            raise _unknown("patches of any aspect ratio (NaFlex)")
        for step in _OTHER_STEPS:
            if config.get(step):
                raise _unknown(f"{step} in its processor")
        try:
            return cls._read(config, image_px)
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise _unknown(f"a processor configuration that cannot be read ({error!r})") from error

    @classmethod
    def _read(cls, config: Mapping[str, Any], image_px: int) -> Pixels:
        size = _size(config.get("size", image_px), squash="crop_size" not in config)
        crop = size
        if config.get("do_center_crop", "crop_size" in config):
            crop = _size(config.get("crop_size", image_px), squash=True)
        shortest = int(size.get("shortest_edge", 0))
        if shortest and "height" not in crop:
            raise ValueError(f"size {dict(size)} without a centre crop")
        if shortest and min(crop["height"], crop["width"]) > shortest:
            raise ValueError(f"crop {dict(crop)} larger than size {dict(size)}")
        if not shortest and crop != size:
            raise ValueError(f"crop {dict(crop)} of a squashed {dict(size)}")
        if not config.get("do_resize", True):
            raise ValueError("pictures are not resized")
        normal = config.get("do_normalize", True)
        n_channels = 3
        return cls(
            shortest_px=shortest,
            height_px=int(crop["height"]),
            width_px=int(crop["width"]),
            resample=int(config.get("resample", Image.Resampling.BICUBIC)),
            scale=float(config.get("rescale_factor", 1 / 255)) if _scales(config) else 1.0,
            mean=_channels(config["image_mean"]) if normal else (0.0,) * n_channels,
            std=_channels(config["image_std"]) if normal else (1.0,) * n_channels,
        )

    @classmethod
    def read_open_clip(cls, config: Mapping[str, Any]) -> Pixels:
        """Reads OpenCLIP's `preprocess_cfg`.

        Raises:
            ModelError: `unknown_preprocessing` for steps that are not known here.
        """
        try:
            return cls._read_open_clip(config)
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise _unknown(f"a preprocess_cfg that cannot be read ({error!r})") from error

    @classmethod
    def _read_open_clip(cls, config: Mapping[str, Any]) -> Pixels:
        size, mode = _size(config["size"], squash=True), config.get("resize_mode", "shortest")
        if config.get("mode", "RGB") != "RGB":
            raise ValueError(f"mode {config['mode']!r}")
        if mode not in ("shortest", "squash") or set(size) != {"height", "width"}:
            raise ValueError(f"resize_mode {mode!r} with size {config['size']!r}")
        if mode == "shortest" and size["height"] != size["width"]:
            raise ValueError(f"the shortest side of {dict(size)}")
        return cls(
            shortest_px=size["height"] if mode == "shortest" else 0,
            height_px=size["height"],
            width_px=size["width"],
            resample=int(Image.Resampling[str(config.get("interpolation", "bicubic")).upper()]),
            scale=1 / 255,
            mean=_channels(config["mean"]),
            std=_channels(config["std"]),
            rounds=True,
        )

    @property
    def digest(self) -> str:
        """Words for a fingerprint: the sizes, and a digest of everything."""
        # Without `rounds` where it is off: libraries keep digests from before it was there.
        names = [name for name in self.__slots__ if name != "rounds" or self.rounds]
        fields = json.dumps([getattr(self, name) for name in names])
        sha = hashlib.sha256(fields.encode()).hexdigest()[:8]
        how = f"shortest {self.shortest_px} crop" if self.shortest_px else "squash"
        return f"{how} {self.width_px}x{self.height_px} {sha}"

    def fit(self, image: Image.Image) -> NDArray[np.uint8]:
        """[height, width, 3] uint8 of an RGB picture: resized, and cropped where the tower does.

        Of a long strip only what the crop keeps is resized: 1 x 30,000 pixels would become
        gigabytes. Others are resized whole, as transformers does, to the last bit.
        """
        size, box = (self.width_px, self.height_px), None
        if self.shortest_px:
            wide, high, left, upper = self._frame(*image.size)
            if max(wide, high) > _STRIP * self.shortest_px:
                across, down = image.width / wide, image.height / high
                right, lower = (left + self.width_px) * across, (upper + self.height_px) * down
                box = (left * across, upper * down, right, lower)
            else:
                whole = self._resized(image, (wide, high), None)
                edges = (left, upper, left + self.width_px, upper + self.height_px)
                return np.asarray(whole.crop(edges), dtype=np.uint8)
        return np.asarray(self._resized(image, size, box), dtype=np.uint8)

    def _resized(
        self,
        image: Image.Image,
        size: tuple[int, int],
        box: tuple[float, float, float, float] | None,
    ) -> Image.Image:
        if image.size == size and box is None:
            return image
        return image.resize(size, Image.Resampling(self.resample), box=box)

    def _frame(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Size of the resized picture, and where its centre crop begins."""
        longest = int(self.shortest_px * max(width, height) / min(width, height))
        wide, high = (self.shortest_px, longest) if width <= height else (longest, self.shortest_px)
        beside, above = wide - self.width_px, high - self.height_px
        if self.rounds:
            return wide, high, round(beside / 2), round(above / 2)
        return wide, high, beside // 2, above // 2

    def normalise(self, pixels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Bytes [n, h, w, 3] to the tower's input [n, 3, h, w]."""
        import torch

        mean = torch.tensor(self.mean, device=pixels.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(3, 1, 1)
        values = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        return values.mul_(self.scale).sub_(mean).div_(std).to(dtype)

    def normalised(self, pixels: NDArray[np.uint8]) -> Floats:
        """As `normalise`, in numpy and float32."""
        mean, std = (np.array(side, np.float32).reshape(3, 1, 1) for side in (self.mean, self.std))
        values = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
        values *= np.float32(self.scale)
        values -= mean
        values /= std
        return values


def _size(value: Any, squash: bool) -> Mapping[str, int]:
    """A size in any of its written forms as {height, width} or {shortest_edge}."""
    if isinstance(value, int):
        return {"height": value, "width": value} if squash else {"shortest_edge": value}
    if isinstance(value, (list, tuple)):
        return {"height": int(value[0]), "width": int(value[1])}
    known = {k: int(v) for k, v in value.items() if v is not None}
    if known.keys() not in ({"height", "width"}, {"shortest_edge"}):
        raise ValueError(f"size {known}")
    return known


def _scales(config: Mapping[str, Any]) -> bool:
    return bool(config.get("do_rescale", True))


def _channels(values: Any) -> tuple[float, ...]:
    channels = tuple(float(value) for value in values)
    if len(channels) != 3:
        raise ValueError(f"{len(channels)} channels")
    return channels


def _unknown(what: str) -> ModelError:
    return ModelError(
        "unknown_preprocessing", f"the checkpoint's preprocessing is not known: {what}", _NO_KEY
    )


def _grid(n: int, side: float) -> tuple[Box, ...]:
    """N x n squares of the unit square that overlap and reach its edges, row by row."""
    starts = [round(at * (1.0 - side) / (n - 1), 6) for at in range(n)]
    return tuple(
        Box(x, y, min(round(x + side, 6), 1.0), min(round(y + side, 6), 1.0))
        for y in starts
        for x in starts
    )


_QUARTERS = _grid(2, 0.571429)  # neighbours share a seventh, as in the built-in encoder
_NINTHS = _grid(3, 0.4)
TILINGS: Mapping[str, tuple[Box, ...]] = MappingProxyType(
    {"none": (WHOLE,), "grid": (WHOLE, *_QUARTERS), "pyramid": (WHOLE, *_QUARTERS, *_NINTHS)}
)
"""Boxes by the name that `--tiles` takes; 1, 5 and 14 forward passes a picture."""

DEFAULT = "grid"
"""Five passes: small things are found, at a cost that is told before it is paid."""

WEIGHT = 0.95
"""Factor on the score of a crop: the best of several scores is high by chance alone. The
value is the one that was measured for the built-in encoder (docs/model-card.md)."""


def tiling(name: str) -> tuple[Box, ...]:
    """The boxes of a tiling; the whole picture first.

    Raises:
        InputError: `bad_tiles`.
    """
    if name not in TILINGS:
        raise InputError("bad_tiles", f"no tiling is called {name!r}", f"use {', '.join(TILINGS)}")
    return TILINGS[name]


def cut(image: Image.Image, boxes: Sequence[Box]) -> list[Image.Image]:
    """The regions of a picture, at least one pixel wide and high each."""
    width, height = image.size
    return [image if box == WHOLE else image.crop(_edges(box, width, height)) for box in boxes]


def _edges(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    left, upper = min(int(box.x0 * width), width - 1), min(int(box.y0 * height), height - 1)
    return left, upper, max(round(box.x1 * width), left + 1), max(round(box.y1 * height), upper + 1)
