"""Decodes pictures in a process of its own, with bounds that the kernel keeps. Layer: core.

    python -P -m relook.core.isolated_worker MEMORY_BYTES

Reads requests from stdin and answers on stdout until stdin ends; `core.isolation` is the other
side and says what a message is. Everything that is read here may be hostile, so it is started
without the environment's secrets, and gives up what it does not need before the first picture:
memory beyond its share, writing files, many open files and, where the system lets it, the
network.
"""

import base64
import ctypes
import json
import math
import os
import signal
import sys
from typing import Any, BinaryIO

from relook.core.errors import ImageError
from relook.core.images import decode
from relook.core.picture import Picture
from relook.core.settings import ImageLimits
from relook.core.video_scenes import find_scenes, picture_at

_MAX_FIELD_BYTES, _MAX_FIELDS_BYTES = 32 * 1024, 256 * 1024
_MAX_FILES = 64
_NICE = 10  # whoever searches goes first
_CLONE_NEWUSER, _CLONE_NEWNET, _PR_SET_NO_NEW_PRIVS = 0x1000_0000, 0x4000_0000, 38


def main() -> None:
    """Works until there are no more requests."""
    for stop in (signal.SIGINT, signal.SIGTERM):
        # They are meant for the parent, which finishes what it began and then closes stdin.
        signal.signal(stop, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    _send(sink, {"unbounded": _give_up(int(sys.argv[1]))})
    while head := source.read(4):
        order = json.loads(source.read(int.from_bytes(head, "big")))
        data = source.read(order["n_bytes"])
        _bound_cpu(order["seconds"])
        result, pixels = _done(order, data, ImageLimits(**order["limits"]))
        del data
        _send(sink, result, pixels)


def _done(order: dict[str, Any], data: bytes, limits: ImageLimits) -> tuple[dict[str, Any], bytes]:
    try:
        if "scenes_of" in order:
            return find_scenes(base64.b64decode(order["scenes_of"]), limits), b""
        if "scene_of" in order:
            path = base64.b64decode(order["scene_of"])
            picture = picture_at(path, order["time_s"], limits)
        else:
            picture = decode(data, order["min_px"], limits)
        return _told(picture), picture.image.tobytes()
    except ImageError as error:
        if isinstance(error.__cause__, MemoryError):
            return _no_memory(), b""
        return {"code": error.code, "message": error.message, "hint": error.hint}, b""
    except MemoryError:
        return _no_memory(), b""
    except OSError as error:  # a video that went away while it was read
        return {"code": "undecodable", "message": f"cannot read it: {error.strerror}"}, b""


def _no_memory() -> dict[str, Any]:
    return {"code": "out_of_memory", "message": ""}


def _told(picture: Picture) -> dict[str, Any]:
    budget = [_MAX_FIELDS_BYTES]
    exif = [[tag, _plain(value, budget)] for tag, value in picture.exif.items()]
    iptc = [[*field, _plain(value, budget)] for field, value in picture.iptc.items()]
    return {
        "size": picture.image.size,
        "original": [picture.width_px, picture.height_px],
        "format": picture.format,
        "exif": [row for row in exif if row[-1] is not None],
        "iptc": [row for row in iptc if row[-1] is not None],
        "xmp": base64.b64encode(picture.xmp).decode(),
        "texts": _short_texts(picture, budget),
    }


def _short_texts(picture: Picture, budget: list[int]) -> dict[str, str]:
    texts = {key: _plain(text, budget) for key, text in picture.texts.items()}
    return {key: text for key, text in texts.items() if text is not None}


def _plain(value: object, budget: list[int]) -> Any:
    """A metadata value as JSON has it; None for one that nobody reads or that is too long."""
    if isinstance(value, list):
        several = [_plain(part, budget) for part in value]
        return [part for part in several if part is not None]
    if isinstance(value, bytes):
        result: Any = {"base64": base64.b64encode(value).decode()}
        size = len(value)
    elif isinstance(value, str):
        result, size = value.encode("utf-8", "replace").decode(), len(value)
    elif isinstance(value, int):
        result, size = (value, 8) if abs(value) < 2**63 else (None, 0)
    elif type(value) is float and math.isfinite(value):  # not Pillow's fractions
        result, size = value, 8
    else:
        return None
    budget[0] -= size
    return result if size <= _MAX_FIELD_BYTES and budget[0] >= 0 else None


def _send(sink: BinaryIO, result: dict[str, Any], pixels: bytes = b"") -> None:
    head = json.dumps({**result, "n_bytes": len(pixels)}).encode()
    sink.write(len(head).to_bytes(4, "big") + head)
    sink.write(pixels)
    sink.flush()


def _give_up(max_bytes: int) -> list[str]:
    """Sets the bounds; returns those that this system does not keep."""
    unbounded = []
    if hasattr(os, "nice"):
        os.nice(_NICE)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
            unbounded.append("network")
    else:  # macOS takes RLIMIT_AS and does not keep it; Windows has no such call
        unbounded += ["network", "memory"]
    try:
        import resource
    except ModuleNotFoundError:
        return [*unbounded, "processor time", "files"]
    if sys.platform == "linux":
        _bound(resource.RLIMIT_AS, max_bytes)
    _bound(resource.RLIMIT_FSIZE, 0)
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_NOFILE, _MAX_FILES)
    return unbounded


def _bound(kind: int, most: int) -> None:
    """Bounds this process for good; a narrower bound that it has already stays."""
    import resource

    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (least, least))


def _bound_cpu(seconds: float) -> None:
    """Ends this process when the next picture takes longer, also when the parent is gone."""
    try:
        import resource
    except ModuleNotFoundError:
        return  # told by `_give_up`
    used_s = sum(os.times()[:2])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used_s + seconds) + 2
    if hard != resource.RLIM_INFINITY:  # a system that bounds every process, as clusters do
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


if __name__ == "__main__":
    main()
