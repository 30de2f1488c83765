"""What indexing will cost, said before it is paid. Layer: cli."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from relook.encoders.crops import TILINGS
from relook.library.report import Progress, ProgressCallback

__all__ = ["telling_cost"]

_AFTER_S = 5.0  # of indexing, when the rate is known
_LONG_S = 60.0


def telling_cost(
    encoder: Callable[[], Any], progress: ProgressCallback | None, quiet: bool
) -> ProgressCallback | None:
    """A progress callback that also says, once each, the passes a picture and the time it takes.

    Args:
        encoder: Gives the encoder that runs.
        progress: Called as before.
        quiet: Say nothing.
    """
    if quiet:
        return progress
    began: list[float] = []
    said: set[str] = set()

    def once(what: str, text: str | None) -> None:
        if text and what not in said:
            said.add(what)
            sys.stderr.write(f"note: {text}\n")

    def tell(now: Progress) -> None:
        if not said:
            once("passes", passes(encoder()) or None)
            said.add("passes")
        if now.stage == "indexing" and "time" not in said:
            began.append(began[0] if began else time.monotonic())
            # Before the listing is over nobody knows how much there is.
            if now.total and time.monotonic() - began[0] >= _AFTER_S:
                once("time", time_left(now))
                said.add("time")
        if progress is not None:
            progress(now)

    return tell


def passes(encoder: Any) -> str:
    """How often a picture goes through the model, where that can be chosen; else nothing."""
    n_passes, tiles = getattr(encoder, "n_passes", 0), getattr(encoder, "tiles", "")
    if not n_passes:
        return ""
    others = ", ".join(f"{name} {len(boxes)}" for name, boxes in TILINGS.items() if name != tiles)
    several = "pass" if n_passes == 1 else "passes"
    return f"{n_passes} forward {several} a picture (--tiles {tiles}; {others}), on {encoder.place}"


def time_left(now: Progress) -> str:
    """How long the rest takes at this rate; nothing for a short one."""
    left_s = now.left_s
    if left_s is None or left_s < _LONG_S:
        return ""
    minutes = round(left_s / 60)
    told = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    return (
        f"about {told} for {now.total - now.done:,} more pictures at {now.rate_per_s:.1f} a second;"
        " Ctrl-C keeps what is done"
    )
