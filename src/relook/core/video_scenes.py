"""The scenes of a video, and the picture at a time of it, by FFmpeg through PyAV. Layer: core.

Runs only in `core.isolated_worker`: demuxers and decoders of video are large, and whoever made a
file may have made it for one of their faults. Only the containers that are named here are opened,
and nothing that a file refers to.

Scenes are found by looking at key frames, evenly spread where there are many; where key frames
lie far apart, every frame between them is decoded. What looks like a scene that is kept already is
left out, and of more than are wanted those stay that differ most.

Sources: T. Gonzalez, "Clustering to minimize the maximum intercluster distance" (1985): the
farthest next; PyAV's and FFmpeg's documentation.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.core.decoders import decoder, real_kind
from relook.core.errors import ImageError
from relook.core.picture import Picture, pixels_alone, too_many
from relook.core.settings import ImageLimits

_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
_BUFFER = 256 * 1024
_LEAST_STEP_S = 1.0
_MOST_LOOKS = 400
_GAP_S = 10.0  # between key frames, from which what lies between is looked at, too
_GAP_STEP_S = 2.0
_SHARE = 0.6  # of the time that a video may take, after which what was found is enough
_SMALL = 16
_LEAST_CHANGE = 0.055  # mean difference, 0 to 1, from which two frames are two scenes
_PLAIN = 0.02  # spread of the values of a frame below which it shows nothing
_NEAR_S = 0.0015  # by which a time may miss a frame: paths have milliseconds
_QUARTERS = {
    90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}  # fmt: skip
_NAMES = {"matroska": "MKV", "avi": "AVI"}


@dataclass(frozen=True, slots=True)
class Look:
    """A frame that was looked at.

    Args:
        time_s: From the beginning of the video.
        small: [16, 16, 3] float32, 0 to 1.
    """

    time_s: float
    small: NDArray[np.float32]


def find_scenes(path: bytes, limits: ImageLimits) -> dict[str, Any]:
    """What a video shows, and when.

    Args:
        path: Of the file.
        limits: How many scenes at most, and how long it may take.

    Returns:
        `times_s`, rising, and `duration_s`, 0 where it is not known.

    Raises:
        ImageError: `not_an_image`, `undecodable`, `too_many_pixels` or `no_decoder`.
    """
    deadline = time.monotonic() + _SHARE * limits.video_s
    with _opened(path, limits) as (container, stream):
        duration_s = _duration(container, stream)
        looks = _looks(container, stream, duration_s, deadline)
    if not looks:
        raise ImageError("undecodable", "none of the video's pictures can be decoded")
    times = thinned(looks, limits.video_scenes)
    return {"times_s": times, "duration_s": round(duration_s, 3)}


def picture_at(path: bytes, time_s: float, limits: ImageLimits) -> Picture:
    """The picture of a video at a time, upright.

    Args:
        path: Of the file.
        time_s: One that `find_scenes` gave.
        limits: What it may cost.

    Raises:
        ImageError: as `find_scenes`.
    """
    deadline = time.monotonic() + _SHARE * limits.video_s
    with _opened(path, limits) as (container, stream):
        frame = _frame_at(container, stream, time_s, deadline)
        if frame is None:
            raise ImageError("undecodable", f"no picture can be decoded at {time_s:g} s")
        image = _upright(frame, stream)
        texts = _texts_of(container)
        name = _name(path, container)
    return Picture(pixels_alone(image), *image.size, {}, {}, name, texts=texts)


def thinned(looks: list[Look], n_most: int) -> list[float]:
    """Times of the frames that differ from each other, the most different first kept.

    Args:
        looks: Frames in the order of the video, one at least.
        n_most: How many at most.
    """
    shown = [look for look in looks if float(look.small.std()) >= _PLAIN] or looks[:1]
    values = np.stack([look.small.reshape(-1) for look in shown])  # [n, 768]
    kept = [0]
    nearest = _distance(values, values[0])  # [n] to the nearest that is kept
    while len(kept) < n_most:
        farthest = int(nearest.argmax())
        if nearest[farthest] < _LEAST_CHANGE:
            break
        kept.append(farthest)
        nearest = np.minimum(nearest, _distance(values, values[farthest]))
    times = set()
    for first in kept:
        alike = _distance(values[:first], values[first]) < _LEAST_CHANGE / 2
        others = np.flatnonzero(~alike)  # the scene begins behind the last of them
        begins = int(others[-1]) + 1 if len(others) else 0
        times.add(round(shown[begins].time_s, 3))
    return sorted(times)


def _distance(values: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    distance: NDArray[np.float32] = np.abs(values - other).mean(axis=1)
    return distance


@contextmanager
def _opened(path: bytes, limits: ImageLimits) -> Iterator[tuple[Any, Any]]:
    """An open container and its stream of pictures."""
    av = decoder("video")
    with open(path, "rb") as file:
        head = file.read(64)
        file.seek(0)
        try:
            container = av.open(file, container_options=_OPTIONS, buffer_size=_BUFFER)
        # Readers of hostile bytes fail with nearly any exception: this is the per-video edge.
        except Exception as error:
            raise _unopened(head, error) from error
        with container:
            stream = _stream(av, container)
            stream.codec_context.thread_count = 1
            n_pixels = stream.codec_context.width * stream.codec_context.height
            if n_pixels > limits.max_decoded_pixels:
                raise too_many(n_pixels, "max_decoded_pixels", limits)
            yield container, stream


def _unopened(head: bytes, error: Exception) -> ImageError:
    what = real_kind(head)
    if what and "film" not in what:
        return ImageError("not_an_image", f"it is {what}, no video")
    if not what:
        return ImageError("not_an_image", "it is not a video in a format that is read here")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    why = "its end or its beginning may be missing"
    return ImageError("undecodable", f"the video cannot be opened: {reason}; {why}")


def _stream(av: Any, container: Any) -> Any:
    """The first stream of moving pictures; the cover of a song is none."""
    covers = av.stream.Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & covers and stream.codec_context is not None:
            return stream
    sound = "sound" if container.streams.audio else "data"
    raise ImageError("not_an_image", f"it has {sound}, and no moving pictures")


def _duration(container: Any, stream: Any) -> float:
    """Seconds; 0 where the file does not say."""
    if stream.duration and stream.time_base:
        return max(float(stream.duration * stream.time_base), 0.0)
    return max((container.duration or 0) / 1e6, 0.0)


def _start(container: Any) -> float:
    return (container.start_time or 0) / 1e6


def _looks(container: Any, stream: Any, duration_s: float, deadline: float) -> list[Look]:
    """Frames in the order of the video: key frames, and what lies between distant ones."""
    step = max(_LEAST_STEP_S, duration_s / _MOST_LOOKS)
    looks = _key_looks(container, stream, duration_s, step, deadline)
    if not looks:
        return list(_plain_looks(container, stream, (0.0, float("inf")), step, deadline))
    end_s = max(duration_s, looks[-1].time_s) if duration_s else float("inf")
    ends = [look.time_s for look in looks[1:]] + [end_s]
    gap_step = max(_GAP_STEP_S, step)
    between: list[Look] = []
    for look, end in zip(looks, ends, strict=True):
        if end - look.time_s > max(_GAP_S, 2 * step):
            between += _plain_looks(container, stream, (look.time_s, end), gap_step, deadline)
    return sorted(looks + between, key=lambda look: look.time_s)


def _key_looks(
    container: Any, stream: Any, duration_s: float, step: float, deadline: float
) -> list[Look]:
    """Key frames, at most one a step."""
    stream.codec_context.skip_frame = "NONKEY"
    start, looks, last_s, at = _start(container), list[Look](), -1.0, 0.0
    while at <= duration_s and not (looks and time.monotonic() >= deadline):
        frame = _key_frame(container, stream, at + start, last_s + start)
        if frame is not None:
            look = _look(frame, stream)
            if look is not None and look.time_s > last_s:
                looks.append(look)
                last_s = look.time_s
        at += step
    return looks


def _key_frame(container: Any, stream: Any, time_s: float, after_s: float) -> Any:
    """The last key frame at or before a time; None where there is none, or none after another."""
    try:
        container.seek(int(time_s / stream.time_base), stream=stream, backward=True)
        for packet in container.demux(stream):
            known = None if packet.pts is None else float(packet.pts * stream.time_base)
            if packet.dts is None or (known is not None and known <= after_s + _NEAR_S):
                return None
            frames = packet.decode() or stream.decode(None)
            return next(iter(frames), None)
    except Exception as error:
        _reraise_memory(error)
    return None


def _plain_looks(
    container: Any, stream: Any, span: tuple[float, float], step: float, deadline: float
) -> Iterator[Look]:
    """One frame a step of a span, between its ends; ends where the file is damaged."""
    stream.codec_context.skip_frame = "DEFAULT"
    start = _start(container)
    next_s = span[0] + step if span[0] else 0.0
    for frame in _frames(container, stream, span[0] + start):
        time_s = _time(frame, stream)
        if time_s is None:
            continue
        if time_s - start >= span[1] or time.monotonic() >= deadline:
            return
        if time_s - start >= next_s and (look := _look(frame, stream)) is not None:
            yield look
            next_s = look.time_s + step


def _frames(container: Any, stream: Any, from_s: float) -> Iterator[Any]:
    """Frames from a key frame at or before a time on, until the end or a fault."""
    try:
        if from_s > 0:
            container.seek(int(from_s / stream.time_base), stream=stream, backward=True)
        elif container.duration is not None:
            container.seek(0)
    except Exception as error:
        _reraise_memory(error)
    try:
        yield from container.decode(stream)
    except Exception as error:
        _reraise_memory(error)


def _time(frame: Any, stream: Any) -> float | None:
    """Seconds; None where the frame says none. One that was flushed has no time base of its own."""
    base = frame.time_base or stream.time_base
    return None if frame.pts is None or base is None else float(frame.pts * base)


def _reraise_memory(error: Exception) -> None:
    """A fault of the file ends the looking; want of memory ends the work."""
    if isinstance(error, MemoryError):
        raise error


def _look(frame: Any, stream: Any) -> Look | None:
    time_s = _time(frame, stream)
    if time_s is None:
        return None
    small = frame.reformat(width=_SMALL, height=_SMALL, format="rgb24", interpolation="AREA")
    values = small.to_ndarray().astype(np.float32) / 255.0
    return Look(max(time_s - _start(stream.container), 0.0), values)


def _frame_at(container: Any, stream: Any, time_s: float, deadline: float) -> Any:
    """The first frame at a time or after it; the last one before where the video ends earlier."""
    start, last = _start(container), None
    stream.codec_context.skip_frame = "NONKEY"
    frame = _key_frame(container, stream, time_s + start + _NEAR_S, -1.0)
    there_s = None if frame is None else _time(frame, stream)
    if there_s is not None and abs(there_s - start - time_s) <= _NEAR_S:
        return frame
    stream.codec_context.skip_frame = "DEFAULT"
    for frame in _frames(container, stream, time_s + start):
        last, there_s = frame, _time(frame, stream)
        is_there = there_s is not None and there_s - start >= time_s - _NEAR_S
        if is_there or time.monotonic() >= deadline:
            break
    return last


def _upright(frame: Any, stream: Any) -> Image.Image:
    """The frame as players show it: square pixels, turned as the file says."""
    ratio = stream.sample_aspect_ratio
    width, height = frame.width, frame.height
    if ratio and 0.1 < float(ratio) < 10 and ratio != 1:
        width = max(round(width * float(ratio)), 1)
    image: Image.Image = frame.to_image(width=width, height=height)
    turn = _QUARTERS.get(round(getattr(frame, "rotation", 0) or 0) % 360)
    return image if turn is None else image.transpose(turn)


def _name(path: bytes, container: Any) -> str:
    if path.lower().endswith(b".webm"):
        return "WEBM"
    name = str(container.format.name).partition(",")[0]
    return _NAMES.get(name, "MOV" if path.lower().endswith(b".mov") else "MP4")


def _texts_of(container: Any) -> dict[str, str]:
    """When the video was made, and its title, under the names that a PNG has for them."""
    texts = {str(key).lower(): str(text) for key, text in container.metadata.items()}
    made = texts.get("com.apple.quicktime.creationdate") or texts.get("creation_time", "")
    kept = {"title": texts.get("title", ""), "description": texts.get("comment", "")}
    if (moment := _moment(made)) is not None:
        kept["creation time"] = moment
    return {key: text for key, text in kept.items() if text}


def _moment(text: str) -> str | None:
    """A time as ISO 8601 has it; None for none, as cameras without a clock write 1904 or 1970."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.isoformat(timespec="seconds") if moment.year > 1971 else None
