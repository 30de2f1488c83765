"""Captioners: crops to short phrases. Layer: captioners. One adapter a file."""

from __future__ import annotations

from relook.captioners.base import Captioner, Phrase
from relook.core.registry import Adapter, Registry

__all__ = ["CAPTIONERS", "DEFAULT", "Captioner", "Phrase"]

DEFAULT = "builtin"
CAPTIONERS = Registry(
    "captioner",
    {
        "builtin": Adapter(
            "relook.captioners.phrases:PhraseCaptioner",
            "ranks a bank of short phrases with the built-in encoder; no download, no network",
        ),
    },
)
