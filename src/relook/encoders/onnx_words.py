"""From texts to token ids, as a model's tokenizer files say. Layer: encoders.

Needs the `tokenizers` package only. The ids equal those of transformers' tokenizers and of
OpenCLIP's (tests compare).

Source: the keys of `tokenizer_config.json` as transformers 5 writes them; `text_cfg` and the
text cleaners of OpenCLIP (`open_clip.tokenizer`); Zhai et al. (arXiv 2303.15343) and Tschannen
et al. (arXiv 2502.14786) for SigLIP's lower case and padding to 64.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from relook.core.vectors import Ints

_N_CLIP, _N_SIGLIP = 77, 64  # tokens, where no file says it
_UNSET = 10**9  # transformers writes a length of 1e30 where there is none
_SIGLIP = ("siglip", "siglip2")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class WordRules:
    """What a tokenizer's own file does not say.

    Args:
        max_tokens: Longest input, marks at both ends included.
        pad: The token that fills shorter ones up, or its number.
        pads_left: Whether it stands before them.
        is_padded: Whether every input is filled up to `max_tokens`, as SigLIP's tower expects.
        clean: What is done to a text first: `lower`, `siglip` or `canonicalize`; or nothing.
    """

    max_tokens: int
    pad: str | int
    pads_left: bool
    is_padded: bool
    clean: str

    @classmethod
    def of_open_clip(
        cls, config: Mapping[str, Any], about: Mapping[str, Any], tokenizer: Mapping[str, Any]
    ) -> WordRules:
        """Those of OpenCLIP.

        Args:
            config: Its `text_cfg`.
            about: Content of `tokenizer_config.json`, and of the `model_config.json` that
                `open_clip_inference` writes.
            tokenizer: Content of `tokenizer.json`.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: for values that make no sense.
        """
        clean = (config.get("tokenizer_kwargs") or {}).get("clean", "")
        is_own = not config.get("hf_tokenizer_name")  # OpenCLIP's own tokenizer, CLIP's
        if not clean and (is_own or about.get("tokenizer_needs_lowercase")):
            clean = "lower"
        pad: str | int | None = about.get("pad_id")
        if pad is None:
            # It fills up with zeros, which only a tower that looks behind the end sees.
            pad = 0 if is_own and config.get("no_causal_mask") else _pad(about, tokenizer)
        return cls(
            max_tokens=int(config.get("context_length") or _length(about) or _N_CLIP),
            pad=pad,
            pads_left=_pads_left(about, tokenizer),
            is_padded=True,
            clean=clean,
        )

    @classmethod
    def of_transformers(
        cls, config: Mapping[str, Any], about: Mapping[str, Any], tokenizer: Mapping[str, Any]
    ) -> WordRules:
        """Those of transformers; arguments and errors as for `of_open_clip`, with `config.json`."""
        is_siglip = config.get("model_type") in _SIGLIP
        text = config.get("text_config") or {}
        by_family = _N_SIGLIP if is_siglip else _N_CLIP
        longest = int(text.get("max_position_embeddings") or by_family)
        clean = "lower" if is_siglip else ""
        if about.get("tokenizer_class") == "SiglipTokenizer":
            clean = "siglip"
        return cls(
            max_tokens=min(longest, _length(about) or longest),
            pad=_pad(about, tokenizer),
            pads_left=_pads_left(about, tokenizer),
            is_padded=is_siglip,
            clean=clean,
        )

    def with_length(self, n_tokens: int) -> WordRules:
        """The same for a graph whose input has a length of its own."""
        return replace(self, max_tokens=n_tokens)

    def cleaned(self, text: str) -> str:
        """A text as it goes to the tokenizer, without odd bytes, which none takes."""
        text = text.encode("utf-8", "ignore").decode("utf-8")
        if self.clean == "canonicalize":
            text = text.replace("_", " ")
        if self.clean in ("canonicalize", "siglip"):
            return _SPACES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).strip()
        return text.lower() if self.clean == "lower" else text


class Words:
    """Texts to ids. Safe to use from several threads.

    Args:
        file: A `tokenizer.json`.
        rules: The rest.
        is_padded: As the rules say, or always, for a graph that cannot do otherwise.

    Raises:
        ValueError: for a file that is none, or does not know the padding token.
    """

    def __init__(self, file: Path, rules: WordRules, is_padded: bool) -> None:
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the package raises bare exceptions
            raise ValueError(str(error)) from error
        self.rules, self.is_padded = rules, is_padded
        self._pad_id = _pad_id(tokenizer, rules.pad)
        # Set once: a tokenizer whose settings change is not safe to share.
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=rules.max_tokens)
        self._tokenizer = tokenizer

    def encode(self, texts: Sequence[str]) -> tuple[Ints, Ints]:
        """Ids and mask of some texts.

        Returns:
            Two [n, l] int64; the mask is 1 where a token is none that fills up.
        """
        clean = [self.rules.cleaned(text) for text in texts]
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(clean)]
        length = self.rules.max_tokens if self.is_padded else max(map(len, rows), default=0)
        ids = np.full((len(rows), max(length, 1)), self._pad_id, np.int64)
        mask = np.zeros_like(ids)  # [n, l]
        for at, row in enumerate(rows):
            if row:
                place = slice(-len(row), None) if self.rules.pads_left else slice(len(row))
                ids[at, place], mask[at, place] = row, 1
        return ids, mask

    def n_cut(self, text: str) -> int:
        """How many tokens at the end of a text do not fit."""
        encoding = self._tokenizer.encode(self.rules.cleaned(text))
        return sum(part.special_tokens_mask.count(0) for part in encoding.overflowing)


def _pad_id(tokenizer: Tokenizer, pad: str | int) -> int:
    """The number of a padding token."""
    number = tokenizer.token_to_id(pad) if isinstance(pad, str) else int(pad)
    if number is None or tokenizer.id_to_token(number) is None:
        raise ValueError(f"it does not know the padding token {pad!r}")
    return int(number)


def _length(about: Mapping[str, Any]) -> int:
    """The longest input that a tokenizer's configuration states; 0 when it states none."""
    length = int(about.get("model_max_length") or 0)
    return length if length < _UNSET else 0


def _pad(about: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> str:
    """The padding token."""
    pad = about.get("pad_token")
    pad = pad.get("content") if isinstance(pad, Mapping) else pad
    pad = pad or (tokenizer.get("padding") or {}).get("pad_token")
    if not pad:
        raise ValueError("neither tokenizer_config.json nor tokenizer.json names a pad_token")
    return str(pad)


def _pads_left(about: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> bool:
    side = about.get("padding_side") or (tokenizer.get("padding") or {}).get("direction", "right")
    return str(side).lower() == "left"
