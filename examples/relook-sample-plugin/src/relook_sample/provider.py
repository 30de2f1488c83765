"""A provider that knows the pictures of one folder by their file names."""

from __future__ import annotations

from pathlib import Path

from relook.core.errors import ImageError
from relook.core.images import dhash, load
from relook.core.plain_text import plain
from relook.providers import (
    Lookup,
    Match,
    MatchKind,
    Outcome,
    ProviderResult,
    ProviderSettings,
    Subject,
)

_BITS = 6  # of 64: a smaller or brighter copy is still the same picture


class FolderProvider:
    """`folder:DIR` finds the same picture in DIR, whatever its size, and tells its name."""

    name = "folder"
    remote = False  # nothing leaves the machine, so nobody is asked for consent
    takes_files = True
    cost_usd = 0.0
    needs = ()

    def __init__(self, folder: str = ".") -> None:
        self.variant = str(Path(folder).expanduser().absolute())

    @classmethod
    def open(cls, spec: str, settings: ProviderSettings) -> FolderProvider:
        """What stands behind the colon of `folder:DIR` is the folder."""
        return cls(spec or ".")

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """Whatever happens becomes a result: a provider never raises."""
        try:
            files = sorted(Path(self.variant).iterdir())
        except OSError as error:
            message = plain(f"cannot read the folder: {error.strerror}")
            return ProviderResult(self.name, Outcome.FAILED, message=message)
        titles = [plain(file.stem) or "a picture" for file in files if self._same(file, subject)]
        matches = tuple(
            Match(self.name, MatchKind.SAME, title, source="your folder", rank=rank)
            for rank, title in enumerate(titles[: lookup.limit])
        )
        return ProviderResult(self.name, Outcome.FOUND if matches else Outcome.NOTHING, matches)

    def _same(self, file: Path, subject: Subject) -> bool:
        try:
            other = dhash(load(file, 64).image)
        except ImageError:  # no picture, or one that cannot be read: it is not this one
            return False
        return ((other ^ subject.picture_hash) & (2**64 - 1)).bit_count() <= _BITS

    def close(self) -> None:
        """It holds nothing."""
