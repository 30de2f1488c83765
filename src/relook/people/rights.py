"""What somebody may do with a library. Layer: people."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from relook.core.errors import AccessError, InputError, NotFoundError

EVERY = "*"
"""Stands for every library that has no right of its own."""
_MOST_ID = 200
RightWord = Literal["none", "view", "mark", "index"]
Kind = Literal["everyone", "token", "person", "link", "nobody"]


class Right(enum.IntEnum):
    """Each includes those before it."""

    NONE = 0
    VIEW = 1
    MARK = 2
    INDEX = 3

    @property
    def word(self) -> RightWord:
        """As people type it."""
        return _WORDS[self]


_WORDS: tuple[RightWord, ...] = ("none", "view", "mark", "index")


def parse_right(text: str) -> tuple[str, Right]:
    """A right as people type it: `photos=mark`, or `mark` for every library.

    Raises:
        InputError: `bad_right`.
    """
    library_id, equals, word = text.rpartition("=")
    names = {right.word: right for right in Right}
    if word not in names or (equals and not library_id) or len(library_id) > _MOST_ID:
        raise InputError(
            "bad_right",
            f"{text[:100]!r} is no right",
            "write view, mark, index or none, for one library as LIBRARY=mark",
        )
    return library_id or EVERY, names[word]


@dataclass(frozen=True, slots=True)
class LinkedAlbum:
    """What a link to one album shows.

    Args:
        library_id: Where it is.
        name: What the album is called there.
        ends_s: Until when, in seconds since 1970.
    """

    library_id: str
    name: str
    ends_s: float


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who asks.

    Args:
        kind: How they came in. `everyone` where nobody has to say who they are, `nobody` where
            somebody has to and did not.
        name: For the log.
        rights: Library or `*` to right; the library's own counts before that of all.
        session: Digest of the session's token, of somebody who signed in.
        album: Of somebody who came by a link to one album, which gives no right to its library.
    """

    kind: Kind
    name: str = ""
    rights: Mapping[str, Right] = field(default_factory=lambda: MappingProxyType({}))
    session: bytes | None = None
    album: LinkedAlbum | None = None

    @property
    def is_limited(self) -> bool:
        """Whether rights have to be looked at."""
        return self.kind not in ("everyone", "token")

    @property
    def most(self) -> Right:
        """The highest right for any library."""
        return max(self.rights.values(), default=Right.NONE) if self.is_limited else Right.INDEX

    def right(self, library_id: str) -> Right:
        """What they may do with a library."""
        if not self.is_limited:
            return Right.INDEX
        return self.rights.get(library_id, self.rights.get(EVERY, Right.NONE))

    def check(self, library_id: str, needed: Right) -> None:
        """Refuses what they may not do.

        Raises:
            NotFoundError: `no_library` for one they may not see, as for one that is not there.
            AccessError: `right_needed`.
        """
        right = self.right(library_id)
        if right is Right.NONE:
            raise hidden_library(library_id)
        if right < needed:
            raise AccessError(
                "right_needed",
                f"you may {right.word} this library, and this needs the right to {needed.word}",
                "ask whoever runs this server for it",
            )


def hidden_library(library_id: str) -> NotFoundError:
    """Of a library that is not there for somebody, whether it is or not."""
    return NotFoundError(
        "no_library",
        f"this server has no library {library_id[:100]!r}",
        "GET /api/v1/libraries lists those that you may see",
    )


EVERYONE = Who("everyone")
TOKEN = Who("token", "token")
NOBODY = Who("nobody")
