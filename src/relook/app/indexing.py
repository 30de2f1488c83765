"""Bringing a library up to date with folders, archives and addresses. Layer: app."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from relook.app.clusters import workers_of
from relook.app.index_beside import run_with_index
from relook.app.models import remember
from relook.app.places import PathLike, absolute, expanded
from relook.core.errors import NotFoundError
from relook.core.picture_paths import is_url
from relook.core.settings import (
    EncoderSettings,
    ImageLimits,
    IndexSettings,
    RaySettings,
    SearchSettings,
)
from relook.encoders import Encoder
from relook.library.files import LibraryFiles
from relook.library.image_words import Sidecars
from relook.library.lock import WriterLock
from relook.library.report import IndexReport, ProgressCallback
from relook.library.scan import Scan, check_root

__all__ = ["AddOptions", "add"]


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
    ray: RaySettings | None = None


class IndexedLibrary(Protocol):
    """What indexing needs of a `Library`."""

    encoder: str | EncoderSettings | Encoder | None
    folder: Path
    limits: ImageLimits
    search_settings: SearchSettings

    def open_or_create(self) -> LibraryFiles: ...


def add(
    library: IndexedLibrary, encoder: Encoder, paths: Sequence[PathLike], options: AddOptions
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
    sidecars = Sidecars([expanded(file) for file in options.metadata])
    given = [absolute(path) for path in paths]
    for root in () if options.missing_ok else given:
        check_root(root)  # a mistyped path must not leave an empty library
    files = library.open_or_create()
    files.check_encoder(encoder)
    report_to = options.progress or (lambda _: None)
    with (
        workers_of(options.ray, library.encoder, encoder, library.limits) as elsewhere,
        WriterLock(library.folder),
    ):
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
        builder = Builder(
            files, encoder, settings, library.limits, sidecars, options.progress, elsewhere
        )
        plans = files.shared is None and library.search_settings.memory_mib > 0
        n_images = _n_listed(scan) if plans else None
        return run_with_index(
            files, encoder, library.search_settings, n_images, lambda: builder.run(scan), report_to
        )


def _n_listed(scan: Scan) -> int:
    """How many files a run will meet, for a plan that must be told before it; archives count 1."""
    return sum(len(files) for files in scan)


def _local(paths: Sequence[PathLike]) -> list[bytes]:
    """The folders of this machine; no link leads to an address."""
    return [place for place in map(absolute, paths) if not is_url(place)]
