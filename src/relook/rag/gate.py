"""Whether an answer without evidence is sure enough to stand. Layer: rag.

`--when auto` asks the model first without looking anything up, and looks the picture up only
when that answer hedges. It does not make answers better than always looking up: it saves
look-ups, and with them money, time, and pictures sent to others. `docs/ask.md` has what it
saves and costs on the paper's records; `relook bench answers LOG --against LOG` measures it
on any pair of logs.
"""

from __future__ import annotations

import re

__all__ = ["hedge_of"]

# Ordinary English for guessing and for declining. A shorter list without "might be" and the
# like was tried too: it looks up a third less and keeps less of the gain.
_HEDGES = re.compile(
    r"\b(?:sorry|apologi[sz]e|cannot|can ?not|can't|could not|couldn't|unable|unclear|unknown|"
    r"not (?:possible|clear|certain|sure|provided|identifiable|enough)|impossible|difficult to|"
    r"hard to (?:say|tell)|without (?:more|additional|further|specific|a)|"
    r"do(?:es)?(?: not|n't) (?:know|provide|contain|show|have|appear)|"
    r"appears? to be|seems? to be|might be|may be|could be|possibly|perhaps|"
    r"if you (?:can|could|have|provide))\b",
    re.IGNORECASE,
)


def hedge_of(text: str) -> str:
    """The first words by which an answer shows that it is unsure; empty when it does not.

    An answer without any text counts as unsure.
    """
    if not text.strip():
        return "no answer"
    found = _HEDGES.search(text.replace("\u2019", "'"))
    return found.group().lower() if found else ""
