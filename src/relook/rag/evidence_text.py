"""Evidence as text, for a model and for people. Layer: rag.

Strangers wrote everything in it. This module makes each line inert (no brackets, tags, fences) and
caps lengths again. `prompt` puts the text between two marked lines and says that it is data.
"""

from __future__ import annotations

from relook.core.plain_text import inert, plain
from relook.core.settings import EvidenceSettings
from relook.core.web import host_of
from relook.providers.base import MatchKind
from relook.rag.evidence import Evidence, Item

__all__ = ["KIND_WORDS", "evidence_text", "item_text"]

KIND_WORDS = {
    MatchKind.SAME: "same picture",
    MatchKind.PAGE: "page with this picture",
    MatchKind.SIMILAR: "looks similar",
    MatchKind.ENTITY: "name suggested",
    MatchKind.SAVED: "saved file",
}
"""How a kind of match is called for people and models."""

_N_ALSO, _N_FACTS = 3, 12


def evidence_text(evidence: Evidence, settings: EvidenceSettings | None = None) -> str:
    """The items a model may see, pinned ones first, a blank line between them.

    Args:
        evidence: What was found; struck items are left out.
        settings: How long text may be.

    Returns:
        Lines as `[3] looks similar: title`; empty when there is nothing to show.
    """
    settings = settings or EvidenceSettings()
    return "\n\n".join(item_text(item, settings) for item in evidence.shown)


def item_text(item: Item, settings: EvidenceSettings | None = None) -> str:
    """One item: its number and kind, then what is known, a line each."""
    settings = settings or EvidenceSettings()
    match = item.match
    title = _line(match.title, settings.title_chars)
    rows = [f"[{item.number}] {KIND_WORDS[match.kind]}: {title or '(no title)'}"]
    source = _line(match.source, 80) or _line(host_of(match.page_url), 80)
    if source:
        rows.append(f"    from: {source}")
    if match.date:
        rows.append(f"    date: {_line(match.date, 40)}")
    if match.similarity is not None:
        rows.append(f"    similarity: {match.similarity:.2f}")
    if match.text and match.text != match.title:
        rows.append(f"    says: {_line(match.text, settings.text_chars)}")
    facts = list(match.metadata.items())[:_N_FACTS]
    rows += [f"    {_line(k, 40)}: {_line(v, 200)}" for k, v in facts]
    rows += [f"    also: {line}" for line in _also(item, title, settings)]
    if item.text:
        rows.append(f"    page: {_line(item.text, settings.page_chars)}")
    return "\n".join(rows)


def _also(item: Item, title: str, settings: EvidenceSettings) -> list[str]:
    """Other titles and captions that were merged into an item, each once."""
    texts = (match.title or match.text for match in item.others)
    lines = dict.fromkeys(_line(text, settings.title_chars) for text in texts if text)
    shown = {title, _line(item.match.text, settings.title_chars)}
    return [line for line in lines if line not in shown][:_N_ALSO]


def _line(text: str, limit: int) -> str:
    return inert(plain(text, limit))
