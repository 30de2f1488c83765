"""What an album is, as the catalog gives it, and what it may be called. Layer: library."""

import unicodedata
from dataclasses import dataclass

from relook.core.converter import JsonValue
from relook.core.errors import InputError, is_no

ALBUM = "album"
"""The filter's key for albums; `Catalog.matching` does not know it."""
FAVOURITES_ID, FAVOURITES = 1, "Favourites"
MAX_ALBUM_NAME = 200
# Written over the letters around it, a name would show as another one.
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


@dataclass(frozen=True, slots=True)
class Album(JsonValue):
    """Pictures that a person put together, under a name.

    Args:
        album_id: It stays when the name changes; 1 is Favourites.
        name: What a person calls it.
        n_images: How many images of the library it holds, those that are away among them.
        n_away: How many of them cannot be reached now.
        n_removed: How many others it holds that the library has not now; they come back with
            their files.
        created_s, changed_s: When it was made, and changed last; 0 where nobody knows.
        is_built_in: Whether it is always there, under its name.
    """

    album_id: int
    name: str
    n_images: int = 0
    n_away: int = 0
    n_removed: int = 0
    created_s: float = 0.0
    changed_s: float = 0.0
    is_built_in: bool = False


@dataclass(frozen=True, slots=True)
class AlbumChange(JsonValue):
    """An album after pictures were put into it or taken out.

    Args:
        album: As it is now.
        n_changed: How many of the named images it did not hold before, or holds no more.
    """

    album: Album
    n_changed: int


def album_name(text: str) -> str:
    """The name of an album as it is kept: composed letters, single blanks.

    Raises:
        InputError: `bad_name` for one that nobody could read or type.
    """
    if not isinstance(text, str):
        raise InputError("bad_name", is_no(text, "name of an album"), "say what it is: Sardinia")
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    if not name:
        raise InputError("bad_name", "an album's name cannot be empty", "say what it is: Sardinia")
    if len(name) > MAX_ALBUM_NAME:
        raise InputError(
            "bad_name",
            f"{len(name):,} characters are more than an album's name may have, {MAX_ALBUM_NAME}",
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs") or letter in _OVERRIDES for letter in name):
        raise InputError(
            "bad_name",
            f"{name!r:.80} cannot be the name of an album",
            "leave out what is no letter: control characters and changes of direction",
        )
    return name


def name_key(name: str) -> str:
    """Names that differ in capitals or blanks only are one; Favourites has an American spelling."""
    if not isinstance(name, str):
        raise InputError("bad_name", is_no(name, "name of an album"), "say what it is: Sardinia")
    key = unicodedata.normalize("NFC", " ".join(name.split())).casefold()
    return FAVOURITES.casefold() if key == "favorites" else key
