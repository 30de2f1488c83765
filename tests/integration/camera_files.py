"""Files as phones and cameras write them: a HEIC, and a DNG written by hand.

Source: TIFF 6.0; DNG 1.7.
"""

import base64
import io
import struct

import numpy as np
from PIL import Image

_SIZES = {"B": 1, "A": 1, "H": 2, "I": 4, "R": 8, "S": 8}
_TYPES = {"B": 1, "A": 2, "H": 3, "I": 4, "R": 5, "S": 10}
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAZdtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAA"
    "AAAAAAAAAAADRpbG9jAAAAAERAAAIAAQAAAAABuwABAAAAAAAAAJkAAgAAAAACVAABAAAAAAAAAEwAAAA4aWluZgAA"
    "AAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA1mlwcn"
    "AAAAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroC"
    "QGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2"
    "xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEE"
    "gQIDBAAAABppcmVmAAAAAAAAAA5jZHNjAAIAAQABAAAA7W1kYXQAAACVKAGvE4B326aoj//9Wadf+4c8/+G1ksFUF/"
    "woKfecqX/jDvKeD/0LjIptD4Www6F3A5eJpBxaUj742mCzN+AZo2YSg27V4S9z7Of1jw2CIPor1Z6AGdMNLXnU9FSR"
    "OpFTZVvfJ/42/fHmlg/8kbu+TBpv/6Yk0T06XPywBaEzNDWAbIpWqNbjZpkQsr4jYQAATNMEU4AAAAAGRXhpZgAATU"
    "0AKgAAAAgAAwEPAAIAAAAGAAAAMgEQAAIAAAAKAAAAOAESAAMAAAABAAEAAAAAAABBcHBsZQBpUGhvbmUgMTIA"
)
"""96x64, white with red at the top left and blue at the bottom right; EXIF says "iPhone 12"."""
Tag = tuple[int, str, bytes | list[int]]


def dng(picture: Image.Image, preview: Image.Image | None = None, orientation: int = 1) -> bytes:
    """A DNG whose sensor saw a picture through a Bayer filter, of 12 bits.

    Args:
        picture: RGB, of even width and height.
        preview: What the camera developed.
        orientation: As EXIF has it.
    """
    mosaic = _mosaic(picture)
    buffer = io.BytesIO()
    if preview is not None:
        preview.save(buffer, "JPEG", quality=90)
    jpeg = buffer.getvalue()
    sensor = [
        (254, "I", [0]), (256, "I", [picture.width]), (257, "I", [picture.height]),
        (258, "H", [16]), (259, "H", [1]), (262, "H", [32803]), (273, "I", [0]), (277, "H", [1]),
        (278, "I", [picture.height]), (279, "I", [len(mosaic)]),
        (33421, "H", [2, 2]), (33422, "B", bytes([0, 1, 1, 2])), (50717, "I", [4095]),
    ]  # fmt: skip
    head = [
        (271, "A", b"Nikon\0"), (272, "A", b"D750\0"), (274, "H", [orientation]),
        (306, "A", b"2019:07:14 12:30:00\0"),
        (50706, "B", bytes([1, 4, 0, 0])), (50708, "A", b"Nikon D750\0"),
        (50721, "S", [10000, 10000, 0, 1, 0, 1, 0, 1, 10000, 10000, 0, 1, 0, 1, 0, 1, 1, 1]),
        (50728, "R", [1, 1, 1, 1, 1, 1]), (50778, "H", [21]),
    ]  # fmt: skip
    if not jpeg:
        return _file([[*head, *sensor]], [mosaic])
    shown = [
        (254, "I", [1]), (256, "I", [preview.width]), (257, "I", [preview.height]),
        (258, "H", [8, 8, 8]), (259, "H", [7]), (262, "H", [6]), (273, "I", [0]), (277, "H", [3]),
        (278, "I", [preview.height]), (279, "I", [len(jpeg)]),
    ]  # fmt: skip
    return _file([[*head, *shown, (330, "I", [0])], sensor], [jpeg, mosaic])


def _mosaic(picture: Image.Image) -> bytes:
    rgb = np.asarray(picture.convert("RGB")).astype(np.uint16) * 16
    mosaic = rgb[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = rgb[::2, ::2, 0], rgb[1::2, 1::2, 2]
    return mosaic.astype("<u2").tobytes()


def _file(directories: list[list[Tag]], images: list[bytes]) -> bytes:
    """A little-endian TIFF: directories, then what their strips hold, then long values."""
    n_heads = [2 + 12 * len(tags) + 4 for tags in directories]
    starts = [8 + sum(n_heads[:number]) for number in range(len(directories))]
    at = 8 + sum(n_heads)
    strips = [at + sum(map(len, images[:number])) for number in range(len(images))]
    long_at = at + sum(map(len, images))
    heads, long_values = b"", b""
    for number, tags in enumerate(directories):
        heads += struct.pack("<H", len(tags))
        for tag, kind, given in sorted(tags, key=lambda entry: entry[0]):
            values = {273: [strips[number]], 330: starts[1:]}.get(tag, given)
            data = values if isinstance(values, bytes) else b"".join(
                struct.pack("<i" if kind == "S" else "<H" if kind == "H" else "<I", value)
                for value in values
            )  # fmt: skip
            n_values = len(data) // _SIZES[kind]
            if len(data) > 4:
                place = struct.pack("<I", long_at + len(long_values))
                long_values += data + b"\0" * (len(data) % 2)
            else:
                place = data.ljust(4, b"\0")
            heads += struct.pack("<HHI", tag, _TYPES[kind], n_values) + place
        heads += struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8) + heads + b"".join(images) + long_values
