"""Screenshots and pictures that somebody saved, as evidence: nothing is sent. Layer: providers.

    relook ask square.jpg "Where is this?" --evidence screenshots/
    relook bench ask questions.json --provider saved:screenshots ...

Reverse Image RAG keeps a screenshot of the results for each picture, called like the picture with
`-search_result.png` behind it. A file belongs to the picture that its name says; each is one
numbered piece of evidence, and a model sees it whole.

Source: github.com/mi92/reverse-image-rag, `rir_api.py` of main and of the branch `paper`, for the
names of the files.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from relook.core.errors import ImageError, InputError, counted
from relook.core.images import decode
from relook.core.picture import reencoded
from relook.core.picture_paths import SUFFIXES
from relook.core.plain_text import plain
from relook.core.sources import limits_at, read_file
from relook.providers.base import Lookup, Outcome, ProviderResult, ProviderSettings, Subject
from relook.providers.match import Match, MatchKind

_NAME = re.compile(r"(?P<picture>.*?)(?P<mark>[-_ .]*search[-_ ]?results?)(?:[-_ ]*\d+)?", re.I)
_LONGEST_PX, _SMALL_PX, _QUALITY = 2048, 256, 90  # small print stays readable


class SavedProvider:
    """Finds the saved files of a picture by their names; what it does not have it says.

    Args:
        folder: Where they are. A file is called like the picture, with or without its suffix,
            perhaps with `-search_result` behind it, or lies in a folder that is called so.
        only_named: Whether a picture gets nothing but files that are named after it. Else,
            where there are none, it gets every file that is not named after another picture.

    Raises:
        InputError: `no_saved_evidence` when there is no such folder, or no picture in it.
    """

    name = "saved"
    remote = False
    takes_files = True
    cost_usd = 0.0
    needs = ("file",)

    def __init__(self, folder: str | os.PathLike[str], *, only_named: bool = True) -> None:
        self.folder, self._only_named = Path(folder).expanduser(), only_named
        self.variant = str(self.folder)
        self._files = _pictures(self.folder)

    @classmethod
    def open(cls, spec: str, settings: ProviderSettings) -> SavedProvider:
        """Opens the folder of `saved:FOLDER`.

        Raises:
            InputError: `no_saved_evidence`.
        """
        if not spec:
            raise InputError(
                "no_saved_evidence", "no folder of saved files is named", "write saved:FOLDER"
            )
        return cls(spec)

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """The picture's saved files, by name. None is a failure: nobody looked the picture up."""
        began = time.perf_counter()
        files = self._files_of(subject)
        matches: list[Match] = []
        troubles: list[str] = []
        for file in files:
            if len(matches) == lookup.limit:
                troubles.append(f"{counted(len(files), 'file')}, of which {lookup.limit} are used")
                break
            try:
                matches.append(self._match(file, len(matches)))
            except ImageError as error:
                troubles.append(f"{file.name}: {error.message}")
        took_s = time.perf_counter() - began
        message = "; ".join(troubles)
        if not matches:
            return ProviderResult(
                self.name, Outcome.FAILED, (), message or self._none_for(subject),
                f"call it {_called(subject) or 'like the picture'}-search_result.png",
                took_s=took_s,
            )  # fmt: skip
        shot = _as_png(matches[0]) if len(matches) == 1 else None
        return ProviderResult(
            self.name, Outcome.FOUND, tuple(matches), message, took_s=took_s, screenshot=shot
        )

    def close(self) -> None:
        """Nothing to free."""

    def _files_of(self, subject: Subject) -> list[Path]:
        """Those to be shown; the picture itself is no evidence of what it shows."""
        called = _called(subject)
        others = [file for file in self._files if not _holds(file, subject.data)]
        own = [file for file in others if is_saved_for(self._place(file), called)]
        if own or self._only_named:
            return own
        return [file for file in others if not _names_a_picture(self._place(file))]

    def _place(self, file: Path) -> str:
        """What a file says of its picture: its name, or that of the folder it lies in."""
        return file.name if file.parent == self.folder else f"{file.parent.name}-search_result.png"

    def _match(self, file: Path, rank: int) -> Match:
        """One file as evidence."""
        limits = limits_at(file)
        image = decode(read_file(file, limits), 0, limits).image
        return Match(
            self.name,
            MatchKind.SAVED,
            title=plain(str(file.relative_to(self.folder)), 200),
            source=plain(str(self.folder), 80),
            rank=rank,
            thumbnail=reencoded(image, _SMALL_PX),
            picture=reencoded(image, _LONGEST_PX, quality=_QUALITY),
        )

    def _none_for(self, subject: Subject) -> str:
        return f"no file of {self.folder} is saved for {_called(subject) or 'this picture'}"


def is_saved_for(file: str, picture: str) -> bool:
    """Whether a saved file's name is that of a picture.

        is_saved_for("oven_1.jpg-search_result.png", "oven_1.jpg")

    Args:
        file: Name of the saved file.
        picture: Name of the picture's file, without its folder.
    """
    stem = os.path.splitext(file)[0]
    marked = _NAME.fullmatch(stem)
    names = {name for name in (picture.casefold(), os.path.splitext(picture)[0].casefold()) if name}
    return (marked["picture"] if marked else stem).casefold() in names


def _holds(file: Path, data: bytes) -> bool:
    try:
        return file.stat().st_size == len(data) and read_file(file) == data
    except (OSError, ImageError):  # reading it as evidence says so
        return False


def _names_a_picture(file: str) -> bool:
    marked = _NAME.fullmatch(os.path.splitext(file)[0])
    return bool(marked and marked["picture"])


def _called(subject: Subject) -> str:
    """The name of the picture's file, without its folder."""
    if subject.url:
        return unquote(urlsplit(subject.url).path).rpartition("/")[2]
    return subject.name.rpartition("/")[2]


def _pictures(folder: Path) -> list[Path]:
    """The picture files of a folder and of the folders in it, in the order of their names."""
    if not folder.is_dir():
        raise InputError(
            "no_saved_evidence", f"there is no folder {folder}", "name a folder of screenshots"
        )
    try:
        files = [
            file
            for place in (folder, *sorted(entry for entry in folder.iterdir() if entry.is_dir()))
            for file in sorted(place.iterdir())
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
        ]
    except OSError as error:
        raise InputError(
            "no_saved_evidence", f"{folder} cannot be read: {error.strerror or error}",
            "check who may read it",
        ) from error  # fmt: skip
    if not files:
        raise InputError(
            "no_saved_evidence", f"{folder} holds no picture", "save screenshots there"
        )
    return files


def _as_png(match: Match) -> bytes:
    return reencoded(decode(match.picture or b"").image, form="PNG")
