"""Words to the tokens of the built-in text tower. Layer: encoders.

`WordPiece` reads the tower's `tokenizer.json` and gives the ids that the `tokenizers` package gives
(a test compares the two on any text). Why it is ours: docs/decisions/0001-wordpiece.md.

Source: Devlin et al., "BERT" (arXiv 1810.04805), section 3; the uncased normaliser and
splitter of google-research/bert: control characters dropped, CJK characters apart, accents
stripped, lower case, words split at punctuation, then greedy longest match.
"""

import json
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

SHIPPED = Path(__file__).with_name("builtin_model") / "tokenizer.json"
_MAX_WORD_CHARS = 100
_CONTROL = ("Cc", "Cf", "Co", "Cs")
# CJK blocks, as BERT's splitter lists them.
_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


def read_vocabulary(file: Path) -> Mapping[str, int]:
    """Token -> id of a `tokenizer.json`, the usual words first; read once while it stays.

    Raises:
        OSError, ValueError, KeyError, TypeError: when there is no such file, or it is another.
    """
    return _vocabulary(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _vocabulary(file: Path, _changed_ns: int) -> Mapping[str, int]:
    vocabulary: dict[str, int] = json.loads(file.read_text("utf-8"))["model"]["vocab"]
    return MappingProxyType(vocabulary)


class WordPiece:
    """Text to token ids.

    Args:
        file: A `tokenizer.json` with a WordPiece model.
        max_tokens: Longest result, the two marks at the ends included.
    """

    def __init__(self, file: Path, max_tokens: int) -> None:
        self._ids = vocabulary = read_vocabulary(file)
        self._unknown = vocabulary["[UNK]"]
        self._start, self._end = vocabulary["[CLS]"], vocabulary["[SEP]"]
        self._max_tokens = max_tokens

    def encode(self, text: str) -> tuple[list[int], int]:
        """The ids of a text, and how many tokens at its end were cut."""
        ids = [token for word in split_words(text) for token in self._pieces(word)]
        n_cut = max(len(ids) - (self._max_tokens - 2), 0)
        kept = ids[: len(ids) - n_cut]
        return [self._start, *kept, self._end], n_cut

    def unread(self, text: str) -> tuple[tuple[str, ...], bool]:
        """The words of a text that are unknown, and whether nothing of it is known."""
        words = split_words(text)
        unknown = tuple(word for word in words if self._pieces(word) == [self._unknown])
        return unknown, len(unknown) == len(words)

    def _pieces(self, word: str) -> list[int]:
        """Greedy longest match from the left; a word that cannot be covered is unknown."""
        if len(word) > _MAX_WORD_CHARS:
            return [self._unknown]
        ids, start = [], 0
        while start < len(word):
            for stop in range(len(word), start, -1):
                piece = word[start:stop] if start == 0 else f"##{word[start:stop]}"
                if piece in self._ids:
                    ids.append(self._ids[piece])
                    start = stop
                    break
            else:
                return [self._unknown]
        return ids


def split_words(text: str) -> list[str]:
    """Normalised words and punctuation marks of a text."""
    spaced = "".join(map(_cleaned, text))
    apart = unicodedata.normalize("NFD", spaced)
    plain = "".join(c for c in apart if unicodedata.category(c) != "Mn")  # without accents
    return "".join(f" {c} " if _is_punctuation(c) else c for c in plain.lower()).split()


@lru_cache(maxsize=4096)
def _cleaned(char: str) -> str:
    """A character as BERT's normaliser leaves it: gone, a space, or (CJK) set apart."""
    if char in "\t\n\r":
        return " "
    if char in "\0\ufffd" or unicodedata.category(char) in _CONTROL:
        return ""
    if char.isspace():
        return " "
    code = ord(char)
    return f" {char} " if any(low <= code <= high for low, high in _CJK) else char


@lru_cache(maxsize=4096)
def _is_punctuation(char: str) -> bool:
    ascii_mark = char.isascii() and char.isprintable() and not char.isalnum() and char != " "
    return ascii_mark or unicodedata.category(char).startswith("P")
