"""Captioners: crops to short phrases. Layer: captioners. One adapter a file.

`CAPTIONERS` names them; each class opens itself (`relook.captioners.base`).
"""

from relook.captioners.base import About, Captioned, Captioner, Phrase
from relook.core.registry import Adapter, Registry

__all__ = ["CAPTIONERS", "DEFAULT", "About", "Captioned", "Captioner", "Phrase"]

DEFAULT = "builtin"
CAPTIONERS = Registry(
    "captioner",
    {
        "builtin": Adapter(
            "relook.captioners.phrases:PhraseCaptioner",
            "ranks a bank of short phrases with the built-in encoder; no download, no network",
        ),
        "hf": Adapter(
            "relook.captioners.hf_captioner:HfCaptioner",
            "LLaVA, Qwen-VL, SmolVLM, BLIP and others by hub id or folder: hf:ORG/NAME",
            extra="hf",
        ),
        "openai": Adapter(
            "relook.captioners.chat_captioner:ChatCaptioner",
            "any OpenAI-compatible service, here or elsewhere: openai:MODEL@URL",
            extra="ask",
        ),
    },
)
