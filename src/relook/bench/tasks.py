"""Reads what simulated users look for: multi-positive JSONL and known-item captions.

Layer: bench.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from relook.bench.captions import Caption
from relook.core.errors import InputError

__all__ = ["Wanted", "known_items", "positions", "read_concepts"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Words and the files that are relevant to them.

    Args:
        words: The query.
        files: Names of the relevant files, as the data set writes them.
    """

    words: str
    files: tuple[str, ...]


def read_concepts(path: Path) -> list[Wanted]:
    """Multi-positive tasks from JSONL of `{"query": ..., "relevant": [file, ...]}`.

    Raises:
        InputError: `bad_benchmark_file` with the line that cannot be read.
    """
    wanted = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            wanted.append(Wanted(str(row["query"]), tuple(map(str, row["relevant"]))))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                "bad_benchmark_file",
                f"line {number} of {path} is not a benchmark query",
                'each line looks like {"query": "red kite", "relevant": ["a.jpg", "b.jpg"]}',
            ) from error
    return wanted


def known_items(captions: Iterable[Caption]) -> list[Wanted]:
    """Known-item tasks: each caption looks for the one picture that it describes."""
    return [Wanted(caption.text, (caption.image,)) for caption in captions]


def positions(wanted: Wanted, index: Mapping[str, int]) -> list[int]:
    """Positions of the files that the gallery holds; the others are left out."""
    return [index[file] for file in wanted.files if file in index]
