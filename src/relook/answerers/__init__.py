"""Answerers: what writes an answer from a picture, a question and evidence. Layer: answerers.

One adapter a file; the default asks no model at all.
"""

from __future__ import annotations

from relook.answerers.base import (
    Answerer,
    Finish,
    Prompt,
    Reply,
    Shown,
    Tell,
    Usage,
    answerer_of,
)
from relook.core.registry import Adapter, Registry

__all__ = [
    "ANSWERERS",
    "DEFAULT",
    "Answerer",
    "Finish",
    "Prompt",
    "Reply",
    "Shown",
    "Tell",
    "Usage",
    "answerer_of",
]

DEFAULT = "evidence-only"
ANSWERERS = Registry(
    "answerer",
    {
        "evidence-only": Adapter(
            "relook.answerers.evidence_only:EvidenceOnlyAnswerer",
            "no model: tells what the matches agree on; nothing is sent",
        ),
        "openai": Adapter(
            "relook.answerers.chat:ChatAnswerer",
            "any OpenAI-compatible chat endpoint that takes pictures, hosted or your own",
            "ask",
        ),
        "hf": Adapter(
            "relook.answerers.local:LocalAnswerer",
            "a transformers image-text model on this machine, by folder or hub id",
            "hf",
        ),
    },
)
