"""The provider seam. Layer: providers. Values and a protocol only.

A provider is a service that, given a picture, says where else it is and what it shows: the
person's own library, a reverse image search, a real browser on one. It returns typed matches
and never mistakes "blocked" for "nothing found". It keeps no result and asks for no consent:
`relook.rag.lookup` does both. A class that `PROVIDERS` or an entry point names opens itself:

    open(spec, settings)   what stands behind its name, and `ProviderSettings`

and declares the attributes of `Provider` and one fact more:

    needs   what it cannot do without: `library`, `key`, `file`, `address`
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

from relook.core.converter import JsonValue
from relook.core.images import decode, dhash
from relook.core.json_form import HIDDEN, SHOWN, Digits, JsonShape, Key
from relook.core.picture import reencoded
from relook.core.plain_text import whole_characters
from relook.core.settings import GatherSettings, ImageLimits
from relook.core.verdicts import Verified
from relook.providers.match import Match, Sent

if TYPE_CHECKING:
    from PIL import Image

_MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
_GATHER = GatherSettings()
_QUALITY = 90
_HASH_PX = 64  # a difference hash looks at 9x8 pixels: a JPEG is decoded at a reduced scale


class Outcome(enum.StrEnum):
    """How a look-up ended. Only `FOUND` and `NOTHING` say something about the picture."""

    FOUND = "found"
    NOTHING = "nothing"
    """The service answered, and knows no such picture."""
    BLOCKED = "blocked"
    """The service took us for a robot."""
    CONSENT_PAGE = "consent_page"
    """The service showed its own consent page (cookies, terms) instead of results."""
    QUOTA = "quota"
    """Too many requests, or the account has none left."""
    BAD_KEY = "bad_key"
    """No key is set, or the service refuses it."""
    REFUSED = "refused"
    """The service will not take this picture (format, size, cannot reach its address)."""
    TIMED_OUT = "timed_out"
    NOT_ALLOWED = "not_allowed"
    """Not asked: the person has not agreed that it gets the picture."""
    OVER_BUDGET = "over_budget"
    """Not asked: it would cost more than was allowed."""
    UNSUPPORTED = "unsupported"
    """Not asked: it cannot take this kind of picture (say, one without a public address)."""
    FAILED = "failed"
    """Anything else; the message says what."""


@dataclass(frozen=True, slots=True)
class Subject(JsonValue):
    """The picture that is asked about.

    Args:
        data: The bytes of its file.
        mime: Its type, from its content.
        content_hash: Hexadecimal digest of `data`: what "the same file" means.
        picture_hash: 64-bit difference hash: near-duplicates differ in a few bits.
        width_px, height_px: Size of the upright picture.
        url: Its public address; None for a picture of this machine.
        image_id: Its id in the person's library, or None; the `library` provider leaves it out.
        name: What to call it (file name or address), for people.
        limits: What decoding it may cost, and whether a stranger's picture is decoded apart.
    """

    data: Annotated[bytes, HIDDEN] = field(repr=False)
    mime: str
    content_hash: str
    picture_hash: Annotated[int, HIDDEN]
    width_px: int
    height_px: int
    url: str | None = None
    image_id: int | None = None
    name: str = ""
    limits: Annotated[ImageLimits, HIDDEN] = field(default=ImageLimits(), repr=False)

    @property
    def hash_text(self) -> Annotated[str, SHOWN, Key("picture_hash")]:
        """The picture hash as 16 hexadecimal digits."""
        return f"{self.picture_hash & 0xFFFF_FFFF_FFFF_FFFF:016x}"

    @property
    def n_bytes(self) -> Annotated[int, SHOWN]:
        """Size of the file."""
        return len(self.data)

    @property
    def local(self) -> bool:
        """Whether it is a picture of this machine, which goes nowhere without consent."""
        return self.url is None

    @classmethod
    def of(
        cls,
        data: bytes,
        *,
        url: str | None = None,
        image_id: int | None = None,
        name: str = "",
        limits: ImageLimits | None = None,
    ) -> Subject:
        """A subject from the bytes of a picture file.

        Args:
            data: The whole file.
            url: Its public address; None for a picture of this machine.
            image_id: Its id in the person's library.
            name: What to call it, for people.
            limits: What a picture may cost.

        Raises:
            ImageError: when it is no picture that is read here.
        """
        picture = decode(data, _HASH_PX, limits)
        return cls(
            data=data,
            mime=_MIME.get(picture.format, f"image/{picture.format.lower()}"),
            content_hash=hashlib.blake2b(data, digest_size=16).hexdigest(),
            picture_hash=dhash(picture.image),
            width_px=picture.width_px,
            height_px=picture.height_px,
            url=url,
            image_id=image_id,
            name=whole_characters(name),
            limits=limits or ImageLimits(),
        )

    def image(self, min_px: int) -> Image.Image:
        """The picture, upright and RGB.

        Args:
            min_px: Neither side need be larger than this.

        Raises:
            ImageError: when it cannot be decoded.
        """
        return decode(self.data, min_px, self.limits).image

    def jpeg(self, longest_px: int) -> bytes:
        """The picture as it is sent elsewhere: a fresh JPEG, upright, pixels only.

        A photograph's file also holds where, when and with what it was taken; a service gets
        none of that.

        Args:
            longest_px: Longest side of the JPEG.

        Raises:
            ImageError: when the picture cannot be decoded.
        """
        return reencoded(self.image(longest_px), longest_px, quality=_QUALITY)


@dataclass(frozen=True, slots=True)
class Lookup:
    """How a provider is asked.

    Args:
        limit: At most so many matches.
        timeout_s: The provider must be back within about this time.
        words: Words to narrow the search with, where a service takes them; may be empty.
    """

    limit: int = _GATHER.limit
    timeout_s: float = _GATHER.timeout_s
    words: str = ""


@dataclass(frozen=True, slots=True)
class ProviderResult(JsonValue):
    """How a look-up by one provider ended, and what it returned.

    Args:
        provider: Its name.
        outcome: How it ended.
        matches: Best first; empty unless the outcome is `FOUND`.
        message: What happened, for people; may be empty. It never has a key in it.
        hint: What to do next; may be empty.
        sent: What left this machine.
        took_s: Wall time in seconds.
        cost_usd: What it cost, as far as is known.
        retry_after_s: After how many seconds the service wants to be asked again, or None.
        screenshot: A PNG of the provider's page, or None.
        cached_s: Age of the result in seconds when it comes from the cache, or None.
        passing: Whether the same question may work in a moment (a busy or broken line).
    """

    json_shape: ClassVar = JsonShape(ignore_unknown=True, code="bad_result")

    provider: str
    outcome: Outcome
    matches: tuple[Match, ...] = ()
    message: str = ""
    hint: str = ""
    sent: tuple[Sent, ...] = ()
    took_s: Annotated[float, Digits(4)] = 0.0
    cost_usd: float = 0.0
    retry_after_s: float | None = None
    screenshot: bytes | None = field(default=None, repr=False)
    cached_s: float | None = None
    passing: Annotated[bool, HIDDEN] = False

    @property
    def n_matches(self) -> Annotated[int, SHOWN]:
        """How many matches it has."""
        return len(self.matches)

    @property
    def has_screenshot(self) -> Annotated[bool, SHOWN]:
        """Whether the provider's page was kept as a picture."""
        return self.screenshot is not None

    @property
    def answered(self) -> bool:
        """Whether the service looked at the picture: it found something, or nothing."""
        return self.outcome in (Outcome.FOUND, Outcome.NOTHING)

    def timed(self, took_s: float) -> ProviderResult:
        """The same result with its wall time."""
        return replace(self, took_s=took_s)


@dataclass(frozen=True, slots=True)
class Near:
    """A picture of the library near the one asked about.

    Args:
        image_id: Its id.
        similarity: Cosine of the two pictures; below zero counts as zero.
        same: Whether it is the same picture (equal bytes, or a near-duplicate).
        title, caption: From its metadata; may be empty.
        file: Name of its file.
        metadata: Further facts, as text.
        picture_hash: 64-bit difference hash.
        thumbnail: Bytes of a small picture, or None.
        verified: What comparing the two point by point showed; None where that was not done.
    """

    image_id: int
    similarity: float
    same: bool = False
    title: str = ""
    caption: str = ""
    file: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    picture_hash: int | None = None
    thumbnail: bytes | None = field(default=None, repr=False)
    verified: Verified | None = None


Finder = Callable[[Subject, int], Sequence[Near]]
"""A picture and a number to the nearest pictures, best first, without the picture itself."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What a provider may use when it is opened.

    Args:
        finder: Finds pictures of the person's library; None when no library is open.
        min_similarity: Cosine below which a picture of the library is no evidence.
    """

    finder: Finder | None = None
    min_similarity: float = 0.0


class Provider(Protocol):
    """Where else is this picture, and what does it show?

    Attributes:
        name: Registry name.
        remote: Whether asking it sends something to a third party. A class that does not
            declare it counts as remote.
        takes_files: Whether it can be asked about a picture without a public address; it then
            sends the bytes.
        cost_usd: What one question is expected to cost, for the budget; 0 when it is free.
        variant: Its options as text; results of another variant are not interchangeable.
    """

    @property
    def name(self) -> str: ...
    @property
    def remote(self) -> bool: ...
    @property
    def takes_files(self) -> bool: ...
    @property
    def cost_usd(self) -> float: ...
    @property
    def variant(self) -> str: ...

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """Looks the picture up once. Safe to call from several threads.

        Returns:
            A result for whatever the service does: an outcome, never an exception. At most
            `lookup.limit` matches, best first.
        """
        ...

    def close(self) -> None:
        """Frees what it holds; closing twice is fine."""
        ...


def is_remote(provider: object) -> bool:
    """Whether asking a provider sends something away; True for one that does not say."""
    return bool(getattr(provider, "remote", True))
