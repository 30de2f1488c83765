"""A decoded picture, and decoding by Pillow. Layer: core.

`core.images` decides who decodes a picture; this module does it for what Pillow reads, and has
what every other decoder needs, too: colours in sRGB, upright, within limits. `reencoded` is the
only place that writes a person's picture as a file: what is shown or sent to anybody passes it.
"""

import io
import logging
import threading
import warnings
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile, UnidentifiedImageError

from relook.core.decoders import Kind, ended, kind_of, make_room, opened, real_kind, recognised
from relook.core.errors import ImageError
from relook.core.picture_paths import FORMATS
from relook.core.picture_tags import exif_of, iptc_of, texts_of, xmp_of
from relook.core.settings import ImageLimits
from relook.core.types import Box

_LOG = logging.getLogger(__name__)
_BIG_PIXELS = 24_000_000
# Pillow's warnings go through global filters, and a very large picture needs hundreds of
# megabytes: both are done by one thread at a time.
_open_lock = threading.Lock()
_big_lock = threading.Lock()
# Modes whose pixels a colour profile of this kind describes (ICC.1:2022, table 19).
_PROFILED = {
    b"RGB ": ("RGB", "RGBA"), b"CMYK": ("CMYK",), b"GRAY": ("L",),
}  # fmt: skip
# How WebP and ICO begin, whose pixels Pillow makes room for, or decodes, as it opens them.
_EAGER = (b"RIFF", b"\0\0\1\0")
# Bytes of a pixel, where it does not become colour before it is made smaller; 3 elsewhere.
_WEIGHTS = {"1": 1, "L": 1}
# What undoes each EXIF orientation (EXIF 2.32, tag 0x0112).
_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEPTHS = (255, 1023, 4095, 16383, 65535)  # of sensors and scanners: 8, 10, 12, 14 and 16 bits
_SIGNED, _LARGEST = 32767, 2**32 - 1
_FRACTION_TOPS = (1, 255, 65535)


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture.

    Args:
        image: Upright sRGB without `info`, possibly smaller than the original.
        width_px, height_px: Size of the upright original.
        exif: As `core.picture_tags.exif_of` gives it.
        iptc: Raw IPTC fields by (record, field).
        format: The container, as content says it ("JPEG"), whatever the name.
        xmp: Its XMP packet.
        texts: Of a PNG, by keyword.
    """

    image: Image.Image
    width_px: int
    height_px: int
    exif: dict[int, object]
    iptc: dict[tuple[int, int], object]
    format: str
    xmp: bytes = b""
    texts: dict[str, str] = field(default_factory=dict)

    def crop(self, box: Box) -> Image.Image:
        """The region as its own picture, at least one pixel wide and high."""
        width, height = self.image.size
        left, upper = int(box.x0 * width), int(box.y0 * height)
        right = max(round(box.x1 * width), left + 1)
        lower = max(round(box.y1 * height), upper + 1)
        return self.image.crop((left, upper, min(right, width), min(lower, height)))


def decode_plain(data: bytes, kind: Kind, min_px: int, limits: ImageLimits) -> Picture:
    """Decodes a picture by Pillow, or by a plugin of its.

    Args:
        data: The whole file.
        kind: As `core.decoders.kind_of` tells it, of those that become Pillow's pictures.
        min_px: As for `core.images.load`.
        limits: Likewise.

    Raises:
        ImageError: as `core.images.decode`.
    """
    try:
        return _decoded(_open(data, kind, limits), min_px, limits)
    except ImageError:
        raise
    # Decoders fail on hostile bytes with nearly any exception: this is the per-image edge.
    except Exception as error:
        if "truncated" not in str(error) and not isinstance(error, EOFError):
            reason = str(error) or type(error).__name__
            raise ImageError("undecodable", f"the picture cannot be decoded: {reason}") from error
        if (whole := ended(data)) is not None:
            return decode_plain(whole, kind_of(whole), min_px, limits)
        raise ImageError("truncated", "the file ends before the picture does") from error


def _decoded(image: ImageFile.ImageFile, min_px: int, limits: ImageLimits) -> Picture:
    """The picture of an opened file; raises whatever a decoder makes of a damaged one."""
    exif = exif_of(image)
    # Pillow turns a TIFF upright itself, when its pixels are loaded.
    turn = 1 if image.format == "TIFF" else exif.get(ExifTags.Base.Orientation, 1)
    width, height = image.size[::-1] if turn in (5, 6, 7, 8) else image.size
    n_pixels = width * height
    if min_px:
        image.draft("RGB", (min_px, min_px))
    n_decoded = image.width * image.height * _WEIGHTS.get(image.mode, 3) // 3
    if n_decoded > limits.max_decoded_pixels:
        raise too_many(n_decoded, "max_decoded_pixels", limits)
    # A progressive JPEG is held whole, however small it is shown.
    with _big_lock if _is_big(image, n_pixels) else nullcontext():
        make_room(image)
        rgb = turned(_reduced(image, min_px), turn)
    return Picture(
        pixels_alone(rgb), width, height, exif, iptc_of(image), str(image.format), xmp_of(image),
        texts_of(image),
    )  # fmt: skip


def _is_big(image: Image.Image, n_pixels: int) -> bool:
    held = n_pixels if image.info.get("progressive") else image.width * image.height
    return held > _BIG_PIXELS


def _open(data: bytes, kind: Kind, limits: ImageLimits) -> ImageFile.ImageFile:
    try:
        if kind:
            image = opened(kind, data, limits.max_decoded_pixels)
        else:
            with _open_lock, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if data.startswith(_EAGER):
                    image = Image.open(io.BytesIO(data), formats=FORMATS)
                else:
                    image = recognised(data, FORMATS)
    except ImageError:
        raise
    except UnidentifiedImageError:
        what = real_kind(data)
        read = f"it is {what}, no picture" if what else ""
        raise ImageError(
            "not_an_image", read or "the content is not a picture in a format that is read here"
        ) from None
    except Image.DecompressionBombError as error:
        raise ImageError(
            "too_many_pixels", f"the picture is too large to open safely: {error}"
        ) from None
    except Exception as error:
        raise ImageError("undecodable", f"the header cannot be read: {error}") from error
    if image.width * image.height > limits.max_pixels:
        raise too_many(image.width * image.height, "max_pixels", limits)
    return image


def too_many(n_pixels: int, name: str, limits: ImageLimits) -> ImageError:
    """The error for a picture that is larger than a limit.

    Args:
        n_pixels: How large.
        name: Of the field of the limits that it exceeds.
        limits: What a picture may cost.
    """
    return ImageError(
        "too_many_pixels",
        f"the picture has {n_pixels / 1e6:.0f} megapixels;"
        f" the limit is {getattr(limits, name) / 1e6:.0f}",
        f"raise images.{name} in the configuration, and index with --retry-skipped",
    )


def _reduced(image: Image.Image, min_px: int) -> Image.Image:
    """Halves, thirds, ... a picture that is much larger than it need be, as RGB."""
    image.load()
    factor = min(image.size) // min_px if min_px else 1
    if factor > 1 and image.mode == "1":
        image = image.convert("L")
    if factor > 1 and image.mode in ("RGB", "RGBA", "L", "CMYK"):
        image = image.reduce(factor)
    return to_rgb(in_srgb(image))


def pixels_alone(image: Image.Image) -> Image.Image:
    """The same pixels in a picture that knows nothing of the file they come from."""
    bare = Image.new("RGB", image.size)
    bare.paste(image)
    return bare


def in_srgb(image: Image.Image) -> Image.Image:
    """The colours that its profile means; a damaged or unfit profile counts as none."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or image.mode not in _PROFILED.get(profile[16:20], ()):
        return image
    target = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if (ImageCms.getProfileDescription(source) or "").startswith("sRGB"):
            return image
        shown = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode=target
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        _LOG.info("a damaged colour profile is left out: %r", error)
        return image
    return image if shown is None else shown


def turned(image: Image.Image, orientation: object) -> Image.Image:
    """The picture upright, from how EXIF says that it lies."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture in RGB: deep greys at eight bits, what is clear over white."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith(("I", "F")):
        return _from_deep(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, clear).convert("RGB")
    return image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, whose lowest value a scan may show white (TIFF 6.0, tag 262)."""
    tags = getattr(image, "tag_v2", {})
    inverted = tags.get(ExifTags.Base.PhotometricInterpretation) == 0
    return Image.fromarray(eight_bits(np.asarray(image), inverted=inverted)).convert("RGB")


def reencoded(
    image: Image.Image,
    longest_px: int = 0,
    form: Literal["JPEG", "PNG"] = "JPEG",
    quality: int = 85,
) -> bytes:
    """A picture as a new file for others to see, which holds its pixels and nothing else.

    No comment, tag, profile, text, thumbnail or further frame of the file that it comes from
    is in it: encoders write only what the picture carries, and the copy carries nothing.

    Args:
        image: As `decode` returns it, or drawn here; it stays as it is.
        longest_px: The longer side is at most this; 0 keeps the size.
        form: The format of the file.
        quality: Of a JPEG.
    """
    if longest_px and max(image.size) > longest_px:
        image = image.copy()
        image.thumbnail((longest_px, longest_px))
    bare = pixels_alone(to_rgb(in_srgb(image)))
    buffer = io.BytesIO()
    if form == "PNG":
        bare.save(buffer, "PNG")
    else:
        bare.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def eight_bits(values: NDArray[Any], *, inverted: bool = False) -> NDArray[np.uint8]:
    """Values of any depth as 0 to 255.

    The depth of a file is often more than that of its values: a scanner's 12 bits lie in 16.
    Args:
        values: Of any shape. Whole numbers from 0 to 65535 are taken for values of the fewest
            bits that they fit in, fractions for shares of 1, 255 or 65535 where they come near
            it or of 32 bits, and others by their extremes. Signed ones of 16 bits have 15. What
            is no number becomes black.
        inverted: Whether the lowest value is white.

    Returns:
        The same shape.
    """
    whole = np.issubdtype(values.dtype, np.integer)
    scaled = values.astype(np.float32)
    finite = np.isfinite(scaled)
    if not finite.all():
        scaled[~finite] = scaled[finite].min(initial=0.0 if not finite.any() else np.inf)
    low, high = float(scaled.min(initial=0.0 if not scaled.size else np.inf)), float(scaled.max())
    if low >= 0:
        is_signed = values.dtype.kind == "i" and values.itemsize == 2
        depths: tuple[int, ...] = (*_DEPTHS[:-1], _SIGNED) if is_signed else _DEPTHS
        depths += (_LARGEST,) if high > _LARGEST / 2 else ()
        fits = depths if whole else [top for top in _FRACTION_TOPS if high > top / 2]
        top = next((top for top in fits if high <= top), None)
        low, high = (low, high) if top is None else (0.0, float(top))
    scaled -= low
    scaled *= 255.0 / max(high - low, 1e-9)
    shown = scaled.clip(0, 255).astype(np.uint8)
    return 255 - shown if inverted else shown
