"""TIFF pictures with several samples of more than 8 bits, which Pillow cannot hold. Layer: core.

Source: TIFF 6.0, PlanarConfiguration and SampleFormat.
"""

import io

import numpy as np
from PIL import ExifTags, Image

from relook.core.decoders import decoder
from relook.core.deep_pixels import eight_bits
from relook.core.errors import ImageError
from relook.core.picture import Picture, in_srgb, too_many, turned
from relook.core.picture_tags import exif_in
from relook.core.settings import ImageLimits

_WHITE_IS_ZERO, _INKS = 0, 5  # photometric interpretations (TIFF 6.0, tag 262)
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}


def decode_deep_tiff(data: bytes, limits: ImageLimits) -> Picture:
    """Decodes the first page.

    Args:
        data: The whole file.
        limits: What it may cost. Its values take up to five times the memory of 8-bit ones.

    Raises:
        ImageError: `no_decoder`, `too_many_pixels` or `undecodable`.
    """
    package = decoder("deep_tiff")
    try:
        with package.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            n_pixels = page.imagewidth * page.imagelength
            if n_pixels > limits.max_pixels:
                raise too_many(n_pixels, "max_pixels", limits)
            if 5 * n_pixels > limits.max_decoded_pixels:
                raise too_many(5 * n_pixels, "max_decoded_pixels", limits)
            values = page.asarray()
            values = np.moveaxis(values, 0, -1) if page.axes == "SYX" else values
            values = values[..., None] if page.axes == "YX" else values
            if values.ndim != 3:
                raise ValueError(f"its axes are {page.axes}")
            inks = page.photometric == _INKS
            inverted = page.photometric == _WHITE_IS_ZERO
    except ImageError:
        raise
    # Like Pillow's, this decoder fails on hostile bytes with nearly any exception.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ImageError("undecodable", f"the TIFF cannot be decoded: {reason}") from error
    exif = exif_in(data)
    n_bands = 4 if inks and values.shape[-1] >= 4 else 3 if values.shape[-1] >= 3 else 1
    shown = np.ascontiguousarray(eight_bits(values[..., :n_bands], inverted=inverted))
    image = Image.fromarray(shown[..., 0] if n_bands == 1 else shown, _MODES[n_bands])
    profile = exif.get(ExifTags.Base.InterColorProfile)
    if isinstance(profile, bytes):
        image.info["icc_profile"] = profile
    image = turned(in_srgb(image).convert("RGB"), exif.get(ExifTags.Base.Orientation))
    image.info.clear()
    return Picture(image, *image.size, exif, {}, "TIFF")
