"""Bringing a library up to date with folders, archives and addresses. Layer: app."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relook.app.models import remember
from relook.core.errors import NotFoundError
from relook.core.picture_paths import is_url
from relook.core.settings import IndexSettings
from relook.library.lock import WriterLock
from relook.library.report import IndexReport, Progress, ProgressCallback
from relook.library.scan import Scan, check_root
from relook.library.sidecar import Sidecars

if TYPE_CHECKING:
    from relook.app.facade import Library
    from relook.encoders import Encoder

__all__ = ["AddOptions", "PathLike", "absolute", "add"]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class AddOptions:
    """How pictures are added; fields as the arguments of `Library.add`.

    With `missing_ok` a path that is away keeps its images and is told of in the notes.
    """

    metadata: Sequence[PathLike] = ()
    settings: IndexSettings | None = None
    within: Sequence[PathLike] | None = None
    progress: ProgressCallback | None = None
    missing_ok: bool = False


def add(
    library: Library, encoder: Encoder, paths: Sequence[PathLike], options: AddOptions
) -> IndexReport:
    """Brings a library up to date; see `Library.add`.

    Args:
        library: Made when it is not there.
        encoder: The one that made its vectors.
        paths: Folders, files or addresses; everything that was added before when empty.
        options: How.
    """
    from relook.library.build import Builder  # a search does without Pillow

    settings = options.settings or IndexSettings()
    sidecars = Sidecars([Path(os.path.expanduser(file)) for file in options.metadata])
    given = [absolute(path) for path in paths]
    for root in () if options.missing_ok else given:
        check_root(root)  # a mistyped path must not leave an empty library
    files = library.open_or_create()
    files.check_encoder(encoder)
    report_to = options.progress or (lambda _: None)
    with WriterLock(library.folder):
        files.refresh()
        remember(files, encoder)
        roots = given or files.catalog.roots()
        if not roots:
            raise NotFoundError(
                "no_path", "nothing has been indexed yet", "name a folder of pictures"
            )
        within = options.within
        scan = Scan(
            roots,
            avoid=os.fsencode(os.path.realpath(library.folder)),
            hidden=settings.hidden,
            must_exist=bool(given) and not options.missing_ok,
            within=None if within is None else _local(within),
            connections=settings.connections,
        )
        for root in given:
            files.catalog.add_root(root)
        builder = Builder(files, encoder, settings, library.limits, sidecars, options.progress)
        report = builder.run(scan)
        files.refresh()
        if not report.interrupted and files.needs_index(library.search_settings):
            report_to(Progress("building the index"))
            files.build_index()
    return report


def _local(paths: Sequence[PathLike]) -> list[bytes]:
    """The folders of this machine; no link leads to an address."""
    return [place for place in map(absolute, paths) if not is_url(place)]


def absolute(path: PathLike) -> bytes:
    """A place as catalogs keep it.

    Raises:
        InputError: `bad_address`.
    """
    text = os.fspath(path)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if is_url(os.fsencode(text)):
        from relook.core.remote import clean_address

        return clean_address(text)
    return os.fsencode(os.path.abspath(os.path.expanduser(text)))
