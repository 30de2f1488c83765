"""Small videos of plain colours, made when a test wants them."""

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import ImageColor

from relook.core.settings import ImageLimits
from relook.core.videos import scenes_of, video_at

CODECS = {".mp4": "libx264", ".mov": "mpeg4", ".m4v": "mpeg4", ".mkv": "libx264", ".webm": "libvpx",
          ".avi": "mpeg4"}  # fmt: skip
RATE = 5
LIMITS = ImageLimits()


def film(  # noqa: PLR0913 - all but two have defaults
    path: Path,
    colours: Sequence[str] = ("red", "green", "blue"),
    *,
    scene_s: float = 2.0,
    key_every: int = RATE,
    sound: bool = False,
    irregular: bool = False,
    size: tuple[int, int] = (48, 32),
    made: str = "",
    square: Fraction | None = None,
) -> Path:
    """Writes a video that shows one colour after the other.

    Args:
        path: Its suffix says the container.
        colours: One a scene.
        scene_s: How long each is shown.
        key_every: Frames from one key frame to the next at most.
        sound: Whether there is a track of silence, too.
        irregular: Whether frames are shown for times of many lengths.
        size: Width and height.
        made: When it says it was made.
        square: Shape of its pixels.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        if made:
            container.metadata["creation_time"] = made
        stream = container.add_stream(CODECS[path.suffix.lower()], rate=RATE)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = key_every
        if key_every > RATE:  # nor where scenes begin
            stream.options = {"x264-params": "scenecut=0"}
        if square is not None:
            stream.codec_context.sample_aspect_ratio = square
        silence = container.add_stream("aac", rate=8000) if sound else None
        at = 0
        for colour in colours:
            values = np.full((size[1], size[0], 3), ImageColor.getrgb(colour), np.uint8)
            for number in range(round(scene_s * RATE)):
                frame = av.VideoFrame.from_ndarray(values, "rgb24")
                frame.pts, frame.time_base = at, Fraction(1, RATE)
                at += 1 + (number % 3 if irregular else 0)
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if silence is not None:
            _add_silence(container, silence, at / RATE)
    return path


def song(path: Path) -> Path:
    """Writes a file of sound alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        _add_silence(container, stream, 1.0)
    return path


def _add_silence(container: av.container.OutputContainer, stream: object, seconds: float) -> None:
    for at in range(0, int(8000 * seconds), 1024):
        values = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(values, "fltp", "mono")
        frame.sample_rate, frame.pts = 8000, at
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def turned(path: Path, source: Path) -> Path:
    """A copy of an MP4 whose header says that it lies on its side, as phones write it."""
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix (ISO/IEC 14496-12, 8.3.2)
    clockwise = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in clockwise)
    path.write_bytes(data)
    return path


def endless(path: Path) -> Path:
    """A WebM as a camera streams it: nothing in it says how long it is, or where its end is."""
    plain = film(path.with_suffix(".mkv"), ("red", "blue"))
    with av.open(str(plain)) as source, av.open(str(path), "w", options={"live": "1"}) as target:
        stream = target.add_stream("libvpx", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for frame in source.decode(video=0):
            frame.pict_type = 0
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    plain.unlink()
    return path


def times(path: Path, limits: ImageLimits = LIMITS) -> tuple[float, ...]:
    return scenes_of(video_at(os.fsencode(path)), limits).times_s
