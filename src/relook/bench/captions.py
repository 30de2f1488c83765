"""Caption files: which words belong to which picture. Layer: bench."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relook.core.errors import MetadataError

__all__ = ["Caption", "read_captions"]


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption of one picture, which is known by its file name."""

    image: str
    text: str


def read_captions(file: Path, split: str | None = None) -> list[Caption]:
    """Reads lines `image<TAB>caption` or `split<TAB>image<TAB>caption`.

    Args:
        file: UTF-8 text.
        split: Keep the lines of this split only.

    Raises:
        MetadataError: `bad_captions` with the line that cannot be read, or when none is left.
    """
    try:
        lines = file.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError("bad_captions", f"cannot read {file}: {error}") from error
    captions = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) not in (2, 3) or not all(field.strip() for field in fields):
            raise MetadataError(
                "bad_captions",
                f"{file} line {number} is not image<TAB>caption or split<TAB>image<TAB>caption",
            )
        if len(fields) == 2 or split in (None, fields[0]):
            captions.append(Caption(Path(fields[-2]).name, fields[-1].strip()))
    if not captions:
        named = f" of split {split!r}" if split else ""
        raise MetadataError("bad_captions", f"{file} has no captions{named}")
    return captions
