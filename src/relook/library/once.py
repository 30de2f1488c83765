"""Equal pictures of one run are encoded once. Layer: library."""

from __future__ import annotations

from dataclasses import dataclass, field

from relook.core.vectors import Floats
from relook.library.reading import Read
from relook.library.records import ImageRecord

__all__ = ["Group", "Once", "Twin"]


@dataclass(frozen=True, slots=True)
class Group:
    """Equal pictures: the one that is encoded, and those that came after it."""

    first: Read
    others: list[Read] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Twin:
    """An equal picture that is encoded, and perhaps not committed yet."""

    record: ImageRecord
    tiles: Floats


class Once:
    """The contents between reading and the catalog, which knows those behind it."""

    def __init__(self) -> None:
        self._groups: dict[bytes, Group] = {}
        self._encoded: dict[bytes, Twin] = {}
        self._in_flight: dict[bytes, Twin] = {}

    @property
    def n_waiting(self) -> int:
        """How many pictures wait to be encoded."""
        return len(self._groups)

    def join(self, read: Read) -> bool:
        """Whether an equal picture waits to be encoded; this one then waits beside it."""
        group = self._groups.get(read.content)
        if group is not None:
            group.others.append(read)
        return group is not None

    def twin(self, content: bytes) -> Twin | None:
        """The equal picture that was encoded last, until the catalog has it."""
        return self._encoded.get(content) or self._in_flight.get(content)

    def wait(self, read: Read) -> None:
        """Lets a picture wait to be encoded."""
        self._groups[read.content] = Group(read)

    def take(self) -> list[Group]:
        """Everything that waits, in order."""
        groups, self._groups = list(self._groups.values()), {}
        return groups

    def encoded(self, record: ImageRecord, tiles: Floats) -> None:
        """Says what became of a picture."""
        self._encoded[record.content] = Twin(record, tiles)

    def commit(self) -> None:
        """Says that what was encoded is being committed, and what was before is."""
        self._in_flight, self._encoded = self._encoded, {}
