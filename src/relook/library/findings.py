"""What a check of a library found, and what a repair did. Layer: library."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from relook.core.converter import JsonValue
from relook.core.json_form import HIDDEN, SHOWN, Digits

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Finding(JsonValue):
    """One kind of damage, or one note.

    Args:
        code: A stable name in snake_case.
        message: What is wrong, with the values.
        n: How many (images, rows, sessions, files), as the message says.
        where: The first few of them, by name.
        repair: What `--repair` would do.
        rows: Every range `(first, end)` of vectors that it concerns.
        image_ids: Every image that it concerns.
    """

    code: str
    message: str
    n: int
    where: tuple[str, ...] = ()
    repair: str = ""
    rows: Annotated[tuple[tuple[int, int], ...], HIDDEN] = ()
    image_ids: Annotated[tuple[int, ...], HIDDEN] = ()


@dataclass(slots=True)
class CheckReport(JsonValue):
    """What a check found.

    Args:
        findings: Damage; a library is sound without any.
        notes: What a stopped run leaves behind and the next writer clears, and other remarks.
        counts: What was looked at: images, rows, batches with a sum, sessions.
        generation: Of the catalog that was looked at.
        seconds: Wall time.
        backup_age_s: Seconds since the catalog was backed up last; None when it never was.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    generation: Annotated[int, HIDDEN] = 0
    seconds: Annotated[float, Digits(3)] = 0.0
    backup_age_s: Annotated[float | None, Digits(1)] = None

    @property
    def sound(self) -> Annotated[bool, SHOWN]:
        """Whether nothing is damaged."""
        return not self.findings

    def find(
        self,
        code: str,
        message: str,
        where: Iterable[object],
        repair: str,
        *,
        n: int = 0,
        rows: Sequence[tuple[int, int]] = (),
        image_ids: Sequence[int] = (),
    ) -> None:
        """Adds damage; `n` is the number of places when it is not given."""
        places = tuple(str(place) for place in where)
        n = n or len(places)
        finding = Finding(
            code, message, n, places[:_SHOWN], repair, tuple(rows), tuple(image_ids)
        )  # fmt: skip
        self.findings.append(finding)

    def find_images(
        self, code: str, message: str, images: Iterable[tuple[int, str]], repair: str
    ) -> None:
        """Adds damage of images, each given as id and path; nothing when there are none."""
        damaged = list(images)
        if damaged:
            ids = [image_id for image_id, _ in damaged]
            self.find(code, message, [path for _, path in damaged], repair, image_ids=ids)

    def note(self, code: str, message: str, n: int, repair: str, where: Iterable[str] = ()) -> None:
        """Adds a note, which is no damage."""
        self.notes.append(Finding(code, message, n, tuple(where)[:_SHOWN], repair))

    def has(self, code: str) -> bool:
        """Whether there is such a finding or note."""
        return any(finding.code == code for finding in (*self.findings, *self.notes))


@dataclass(slots=True)
class RepairReport(JsonValue):
    """What a repair did.

    Args:
        before, after: What a check found.
        done: What was done, one sentence each.
        kept: Copies of the damaged files.
    """

    before: CheckReport
    after: CheckReport
    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def sound(self) -> Annotated[bool, SHOWN]:
        """Whether nothing is damaged any more."""
        return self.after.sound
