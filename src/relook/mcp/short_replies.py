"""Keeps what tools answer small enough for any agent: under 1 MiB and 25,000 tokens. Layer: mcp.

Hosts cut off or refuse longer results. Here long texts are shortened first, then lists are cut;
what was cut is told, with how to get the rest, in the text and as `shortened` in the structured
content. Pictures are bounded before they are made: `picture_bounds`.

Source: 4 characters a token, and a picture's width x height / 750 tokens, are the usual estimates;
hosts count in ways of their own.
"""

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent
from PIL import Image

from relook.core.errors import counted

MAX_BYTES = 1024**2
MAX_TOKENS = 25_000
_TOKEN_CHARS, _TOKEN_PX = 4, 750
_PICTURES_BYTES, _PICTURES_TOKENS = 600 * 1024, 14_000
_SHEET_PX, _CELL_PX = 1440, 360  # larger ones are reduced before a model sees them
_FEW = 60  # keys of an object that is not one of ours
# Characters of a text, values of a list, characters of the reply's text; the first that fits.
_STEPS = (
    (4000, 1000, 40_000), (1000, 1000, 40_000), (300, 1000, 32_000), (120, 1000, 32_000),
    (80, 1000, 32_000), (80, 400, 24_000), (80, 200, 24_000), (80, 100, 24_000),
    (60, 50, 16_000), (60, 30, 12_000), (60, 15, 8_000), (40, 8, 4_000), (40, 3, 2_000),
)  # fmt: skip
# Tools that take `offset`, and the list that it counts.
_PAGED = {
    "list_sessions": "sessions", "list_concepts": "concepts", "library_info": "skipped",
    "list_albums": "albums",
}  # fmt: skip
_REST = {
    "ask": "ask with fewer providers; a person sees all with: relook ask --report FILE.html",
    "show_session": "read the session's resource",
    "look_again": "read the session's resource",
    "begin_session": "read the session's resource",
}
_ANY_REST = "read the resource of one image (its uri), or ask for fewer (limit)"


def picture_bounds(n_pictures: int) -> tuple[int, int]:
    """The longest side in pixels and the most bytes of each of several pictures of one reply."""
    side = math.isqrt(_PICTURES_TOKENS * _TOKEN_PX // n_pictures)
    return side, _PICTURES_BYTES // n_pictures


def sheet_shape(n_pictures: int) -> tuple[int, int]:
    """The columns of a sheet, and the sides of each picture's square in pixels."""
    columns = math.ceil(math.sqrt(n_pictures))
    return columns, min(_SHEET_PX // columns, _CELL_PX)


def n_tokens(result: CallToolResult) -> int:
    """How many tokens a result takes, as far as that can be told here."""
    chars = len(_json(result.structured_content)) if result.structured_content else 0
    tokens = 0
    for block in result.content:
        if isinstance(block, ImageContent):
            width, height = Image.open(io.BytesIO(base64.b64decode(block.data))).size
            tokens += -(-width * height // _TOKEN_PX)
        else:
            chars += len(block.model_dump_json(exclude_none=True))
    return tokens + -(-chars // _TOKEN_CHARS)


def n_bytes(result: CallToolResult) -> int:
    """How many bytes a result has on its way."""
    return len(result.model_dump_json(by_alias=True, exclude_none=True).encode())


def within_limits(tool: str, result: CallToolResult, offset: int = 0) -> CallToolResult:
    """The same result when it is small enough, or else as much of it as is.

    Args:
        tool: What answered.
        result: What it answered; the first block is its text.
        offset: How many values of its list the caller left out.
    """
    if _fits(result):
        return result
    for chars, values, text_chars in _STEPS:
        cut = _Cut(chars, values)
        shortened = cut.value(result.structured_content, ())
        notes = [*cut.notes(), _rest(tool, cut, offset)]
        made = result.model_copy(
            update={
                "content": [_text_block(block, text_chars, notes) for block in result.content],
                "structured_content": {**shortened, "shortened": notes} if shortened else shortened,
            }
        )
        if _fits(made):
            return made
    return _only_text(made, notes)


def _fits(result: CallToolResult) -> bool:
    return n_tokens(result) <= MAX_TOKENS and n_bytes(result) <= MAX_BYTES


def _only_text(result: CallToolResult, notes: Sequence[str]) -> CallToolResult:
    """The text alone: what its pictures and values are does not fit, however short."""
    texts = [block for block in result.content if isinstance(block, TextContent)]
    values = {"shortened": list(notes)} if result.structured_content else None
    return result.model_copy(update={"content": texts, "structured_content": values})


@dataclass
class _Cut:
    """Cuts values, and remembers what."""

    chars: int
    values: int
    n_texts: int = 0
    lists: dict[str, tuple[int, int]] = field(default_factory=dict)

    def value(self, value: Any, path: tuple[str, ...]) -> Any:
        """A JSON value, cut."""
        if isinstance(value, str):
            return self._text(value, path[-1] if path else "")
        if isinstance(value, Mapping):
            kept = dict(list(value.items())[: max(self.values, _FEW)])
            self._note(path, len(kept), len(value))
            return {key: self.value(inner, (*path, key)) for key, inner in kept.items()}
        if isinstance(value, list):
            self._note(path, min(len(value), self.values), len(value))
            return [self.value(inner, path) for inner in value[: self.values]]
        return value

    def notes(self) -> list[str]:
        """What was cut, a line each."""
        lines = [f"{name}: the first {kept:,} of {n:,}" for name, (kept, n) in self.lists.items()]
        return [
            *lines,
            *(
                [f"{counted(self.n_texts, 'text is', 'texts are')} shortened"]
                if self.n_texts
                else []
            ),
        ]

    def _text(self, text: str, key: str) -> str:
        if len(text) <= self.chars or key == "uri" or key.endswith(("_uri", "_id")):
            return text
        self.n_texts += 1
        if key == "path":  # its end is its name
            return "\u2026" + text[1 - self.chars :]
        return text[: self.chars - 1] + "\u2026"

    def _note(self, path: tuple[str, ...], kept: int, n: int) -> None:
        name = ".".join(path)
        if kept < n and n > self.lists.get(name, (0, 0))[1]:
            self.lists[name] = (kept, n)


def _rest(tool: str, cut: _Cut, offset: int) -> str:
    paged = _PAGED.get(tool)
    if paged in cut.lists:
        return f"the rest of {paged}: call {tool} again with offset {offset + cut.lists[paged][0]}"
    return f"the rest: {_REST.get(tool, _ANY_REST)}"


def _text_block(block: ContentBlock, chars: int, notes: Sequence[str]) -> ContentBlock:
    if not isinstance(block, TextContent):
        return block
    lines = [_line(line) for line in block.text.split("\n")]
    kept, left = [], chars
    for line in lines[:-1]:
        left -= len(line) + 1
        if left < 0:
            break
        kept.append(line)
    if n_out := len(lines) - 1 - len(kept):
        kept.append(f"({counted(n_out, 'line is', 'lines are')} left out)")
    shortened = "; ".join(notes)
    return TextContent(type="text", text="\n".join([*kept, lines[-1], f"shortened: {shortened}"]))


_LINE_CHARS = 4000


def _line(line: str) -> str:
    return line if len(line) <= _LINE_CHARS else line[: _LINE_CHARS - 1] + "\u2026"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
