"""What the API answers of a library without a search: pictures by time, copies. Layer: server."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from relook.core.json_form import INLINE, JsonShape
from relook.search.copies import Copy, CopyGroup
from relook.server.api_answers import Addresses, ImageAnswer
from relook.serving.libraries import ServedLibrary


@dataclass(frozen=True, slots=True)
class BrowsedAnswer:
    """Images that fit a filter, newest first.

    Args:
        n_images: How many fit.
        images: Those of the wanted part.
    """

    json_shape: ClassVar = JsonShape(name="Browsed")

    n_images: int
    images: tuple[ImageAnswer, ...]


@dataclass(frozen=True, slots=True)
class CopyAnswer:
    """One picture of a group of copies, and where it is."""

    json_shape: ClassVar = JsonShape(name="Copy")

    copy: Annotated[Copy, INLINE]
    addresses: Annotated[Addresses, INLINE]


@dataclass(frozen=True, slots=True)
class CopyGroupAnswer:
    """Pictures that are copies of each other, the one to keep first.

    Args:
        copies: At least one.
        why: Why the first is suggested; empty when they are alike in everything.
        differs: In what they differ.
        n_bytes: What the others take.
    """

    json_shape: ClassVar = JsonShape(name="CopyGroup")

    copies: tuple[CopyAnswer, ...]
    why: str
    differs: tuple[str, ...]
    n_bytes: int

    @classmethod
    def of(cls, volume: ServedLibrary, group: CopyGroup) -> Self:
        """A group with the addresses of its pictures."""
        contents = volume.contents([copy.image_id for copy in group.copies])
        copies = tuple(
            CopyAnswer(copy, Addresses.of(volume, copy.image_id, contents.get(copy.image_id, b"")))
            for copy in group.copies
        )
        return cls(copies, group.why, group.differs, group.n_bytes)


@dataclass(frozen=True, slots=True)
class CopiesAnswer:
    """The groups of copies of a library, those that take most first.

    Args:
        n_groups: How many there are.
        n_others: How many pictures are not the one to keep of their group.
        n_bytes: What these take.
        groups: The wanted part.
    """

    json_shape: ClassVar = JsonShape(name="Copies")

    n_groups: int
    n_others: int
    n_bytes: int
    groups: tuple[CopyGroupAnswer, ...]
