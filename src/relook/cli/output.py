"""What the command line prints. Layer: cli.

Results go to stdout, everything else to stderr. Rich is imported when something is drawn.

Source: the kitty graphics protocol (sw.kovidgoyal.net/kitty/graphics-protocol) and iTerm2's
inline images protocol (iterm2.com/documentation-images.html).
"""

from __future__ import annotations

import base64
import json
import logging
import math
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from relook.core.errors import ImageError, RelookError, StorageError, counted
from relook.core.leftovers import new_file
from relook.core.outputs import check_output
from relook.core.picture_paths import Address, printable
from relook.core.progress import Progress, ProgressCallback, StageRate
from relook.core.types import NOTHING_FITS, Hit, Page

if TYPE_CHECKING:
    from rich.console import Console

    from relook.library.report import IndexReport

_LOG = logging.getLogger(__name__)
_FIT_LINE = "-- these may not fit --"
_SHOWN_SKIPS = 10
_THUMBNAIL_PX = 120
_KITTY_CHUNK = 4096


def out(stderr: bool = False) -> Console:
    """A console on stdout, or stderr."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def print_json(values: Mapping[str, Any], *, one_line: bool = False) -> None:
    """One JSON object on stdout: ASCII, and Unicode that every program can read.

    A file name need not be UTF-8. What is not becomes U+FFFD, and `KEY_base64` beside it has its
    bytes: halves of characters would have other programs refuse the whole. So would numbers without
    end, which a file's metadata may hold: they become null.
    """
    sys.stdout.write(json.dumps(_readable(values), indent=None if one_line else 2) + "\n")


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    readable = {}
    for key, item in value.items():
        readable[key] = _readable(item)
        if (encoded := _in_base64(item)) is not None:
            readable[f"{key}_base64"] = encoded
    return readable


def _in_base64(value: Any) -> Any:
    """The bytes of a text, or of each of several, where one is not UTF-8; else None."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return None
    if all(text.isascii() or printable(text) == text for text in texts):
        return None
    try:
        data = [text.encode("utf-8", "surrogateescape") for text in texts]
    except UnicodeEncodeError:  # no file name: a text with half a character
        return None
    encoded = [base64.b64encode(part).decode() for part in data]
    return encoded[0] if isinstance(value, str) else encoded


@contextmanager
def written_file(path: Path, kind: tuple[str, ...]) -> Iterator[IO[bytes]]:
    """A file that a person named: after the block it is there whole, or what was there before is.

    What is no plain file (a pipe, a device, a link) is written to as it is.

    Args:
        path: The file.
        kind: Suffixes of files that may be written over, see `check_output`.

    Raises:
        InputError: as `check_output`. StorageError: `not_written` when the disk refuses.
    """
    check_output(path, kind)
    try:
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            with open(path, "wb") as file:
                yield file
            return
        with new_file(path) as file:
            yield file
            if path.exists():
                shutil.copymode(path, file.name)
    except OSError as error:
        named = printable(os.fsencode(error.filename or path))
        raise StorageError(
            "not_written", f"{named} cannot be written: {error.strerror or error}", "name another"
        ) from error


def print_error(error: RelookError, as_json: bool) -> None:
    """`error[code]: message` and `hint:` on stderr, or the error object on stdout."""
    if as_json:
        print_json(error.as_dict())
        return
    sys.stderr.write(f"error[{error.code}]: {_clean(error.message)}\n")
    if error.hint:
        sys.stderr.write(f"hint: {_clean(error.hint)}\n")


def print_notes(notes: tuple[str, ...] | list[str]) -> None:
    """Notes for the person, on stderr."""
    for note in notes:
        sys.stderr.write(f"note: {_clean(note)}\n")


def print_page(page: Page) -> None:
    """The hits of a page as a numbered table, with a line where pictures stop fitting."""
    if not len(page):
        print_nothing(page.notes)
        return
    if page.n_fitting == 0:
        sys.stdout.write(f"{NOTHING_FITS}\n")
    rows = []
    for number, hit in enumerate(page, start=1):
        if page.n_fitting and number == page.n_fitting + 1:
            rows.append(("", "", "", _FIT_LINE, "", "", ""))
        says = " ".join(word.text for word in hit.written or ())
        words = ": ".join(filter(None, (hit.title or hit.caption, says and f"“{says}”")))
        what = "alike" if hit.time_s is None else "scenes"
        shown = _clean(_short(hit.path)) + (f"  (+{len(hit.folded)} {what})" if hit.folded else "")
        fit = "" if hit.fit is None else f"{hit.fit:.2f}"
        where = _where(hit.tile.as_list())
        rows.append((str(number), f"{hit.score:.3f}", fit, shown, where, words, _verdict(hit)))
    names = ["#", "score", "fit", "picture", "best tile", "words", "verdict"]
    empty = ("fit", "words", "verdict")
    used = [at for at, name in enumerate(names) if name not in empty or _any(rows, at)]
    print_table([names[at] for at in used], [tuple(row[at] for at in used) for row in rows])
    print_notes([note for note in page.notes if note != NOTHING_FITS])


def print_paths(paths: Iterable[Path], notes: Sequence[str]) -> None:
    """A path a line, in its own bytes, for pipes; what there is to say is on stderr."""
    for path in paths:
        sys.stdout.buffer.write(bytes(path) + b"\n")
    print_notes(list(notes))


def print_nothing(notes: Sequence[str]) -> None:
    """That nothing was found, and why, in one sentence; what else there is to say is on stderr."""
    why = [note for note in notes if note != NOTHING_FITS]
    sys.stdout.write(f"Nothing was found{': ' + _clean(why[0]) if why else ''}.\n")
    print_notes(why[1:])


def _verdict(hit: Hit) -> str:
    return hit.verified.words if hit.verified is not None else ""


def _any(rows: Sequence[tuple[str, ...]], column: int) -> bool:
    return any(row[column] for row in rows)


def print_table(columns: list[str], rows: Sequence[tuple[str, ...]]) -> None:
    """A plain table on stdout."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        right = column in ("#", "score", "fit")
        width = len(_FIT_LINE) if any(_FIT_LINE in row for row in rows) else None
        table.add_column(
            column,
            justify="right" if right else "left",
            overflow="fold",
            min_width=width if column == "picture" else None,
        )
    for row in rows:
        table.add_row(*(_escape(_clean(cell)) for cell in row))
    out().print(table)


def print_report(report: IndexReport) -> None:
    """What a run of indexing did; with `relook -v` how fast each stage was."""
    counts = [
        ("added", report.n_added), ("updated", report.n_updated), ("moved", report.n_moved),
        ("removed", report.n_removed), ("away", report.n_away), ("back", report.n_back),
        ("unchanged", report.n_unchanged),
        ("new words for", report.n_metadata), ("skipped", len(report.skipped)),
        ("words read in", report.n_text_read),
    ]  # fmt: skip
    summary = ", ".join(f"{name} {n:,}" for name, n in counts if n) or "nothing to do"
    if report.n_text_read:
        summary += f" ({report.n_text_found:,} have some)"
    if report.n_duplicates:
        summary += f" ({report.n_duplicates:,} of the added are copies)"
    sys.stdout.write(f"{summary}; {counted(report.n_images, 'image')} in {report.seconds:.1f} s\n")
    for file in report.skipped[:_SHOWN_SKIPS]:
        path = _clean(printable(file.facts.path))
        sys.stderr.write(f"skipped[{file.code}]: {path}: {_clean(file.message)}\n")
    if _LOG.isEnabledFor(logging.INFO) and (stages := stage_line(report.stages)):
        sys.stderr.write(f"stages: {stages}\n")
    if len(report.skipped) > _SHOWN_SKIPS:
        left = len(report.skipped) - _SHOWN_SKIPS
        sys.stderr.write(f"... and {left:,} more; relook info --skipped lists them all\n")
    print_notes(report.notes)
    if report.interrupted:
        sys.stderr.write("stopped; what is done is kept. Run the same command to go on.\n")


def stage_line(stages: Sequence[StageRate], *, busy: bool = True) -> str:
    """The rate of each stage that handled anything, and with `busy` how long it worked."""
    return ", ".join(
        f"{stage.name} {stage.rate_per_s:,.0f}/s" + (f" busy {stage.busy_s:,.1f} s" if busy else "")
        for stage in stages
        if stage.n_items
    )


@contextmanager
def progress_bar(quiet: bool = False) -> Iterator[ProgressCallback | None]:
    """A progress bar on stderr, with rate and time left; nothing when quiet or no terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[stages]}"),
        console=out(stderr=True), transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("listing", total=None, rate="", stages="")

        def show(now: Progress) -> None:
            rate = f"{now.rate_per_s:.0f}/s" if now.rate_per_s else ""
            bar.update(
                task, description=now.stage, completed=now.done, total=now.total or None,
                rate=rate, stages=stage_line(now.stages, busy=False),
            )  # fmt: skip

        yield show


def _short(path: Path) -> str:
    """A path relative to the working directory where that is shorter."""
    if isinstance(path, Address):
        return str(path)
    try:
        relative = os.path.relpath(path)
    except (ValueError, OSError):
        return str(path)
    return relative if len(relative) < len(str(path)) else str(path)


def _clean(text: str) -> str:
    """Text that cannot steer a terminal: control characters and odd bytes are spelled out."""
    text = printable(text)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def clean_lines(text: str) -> str:
    """Text of several lines that cannot steer a terminal."""
    return "\n".join(_clean(line) for line in text.split("\n"))


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _where(tile: list[float]) -> str:
    """A tile in words a person reads at a glance."""
    x0, y0, x1, y1 = tile
    if (x1 - x0) * (y1 - y0) > 0.99:
        return "whole"
    rows = ("top", "middle", "bottom")[min(int((y0 + y1) / 2 * 3), 2)]
    columns = ("left", "centre", "right")[min(int((x0 + x1) / 2 * 3), 2)]
    return f"{rows} {columns}"


def thumbnail_protocol(environment: Mapping[str, str]) -> str | None:
    """`kitty`, `iterm` or None, as the terminal says of itself."""
    if "KITTY_WINDOW_ID" in environment or environment.get("TERM_PROGRAM") == "ghostty":
        return "kitty"
    if environment.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
        return "iterm"
    return None


def thumbnail_sequence(png: bytes, kind: str) -> str:
    """The bytes of a PNG as an escape sequence of the protocol."""
    data = base64.standard_b64encode(png).decode("ascii")
    if kind == "iterm":
        return f"\033]1337;File=inline=1;size={len(png)}:{data}\a"
    chunks = [data[at : at + _KITTY_CHUNK] for at in range(0, len(data), _KITTY_CHUNK)]
    parts = []
    for number, chunk in enumerate(chunks):
        head = "a=T,f=100," if number == 0 else ""
        more = int(number < len(chunks) - 1)
        parts.append(f"\033_G{head}m={more};{chunk}\033\\")
    return "".join(parts)


def show_thumbnails(paths: Sequence[Path]) -> bool:
    """Draws one row of pictures on stdout where the terminal can; returns whether it did.

    A picture that cannot be read any more is left out: the table below still names it.
    """
    kind = thumbnail_protocol(os.environ) if sys.stdout.isatty() else None
    if kind is None:
        return False
    from PIL import Image

    from relook.core.images import load
    from relook.core.picture import reencoded

    thumbnails = []
    for path in paths:
        try:
            image = load(path, _THUMBNAIL_PX).image
        except ImageError:
            continue
        width = max(round(image.width * _THUMBNAIL_PX / image.height), 1)
        thumbnails.append(image.resize((min(width, 3 * _THUMBNAIL_PX), _THUMBNAIL_PX)))
    row = Image.new("RGB", (sum(t.width + 4 for t in thumbnails) or 1, _THUMBNAIL_PX), "white")
    left = 0
    for thumbnail in thumbnails:
        row.paste(thumbnail, (left, 0))
        left += thumbnail.width + 4
    sys.stdout.write(thumbnail_sequence(reencoded(row, form="PNG"), kind) + "\n")
    return True


def counter(stage: str, progress: ProgressCallback | None) -> Callable[[int, int], None] | None:
    """Progress of counted work, for the bar; None without one.

    Args:
        stage: What is done.
        progress: As `progress_bar` gives it.
    """
    if progress is None:
        return None
    return lambda done, total: progress(Progress(stage, done, total))
