"""Answerers: what writes an answer from a picture, a question and evidence. Layer: answerers.

One adapter a file; `ANSWERERS` names them, and the default asks no model at all.
"""

from collections.abc import Collection

from relook.answerers.base import Answerer, Finish, Prompt, Reply, Shown, Tell, Usage
from relook.core.registry import Adapter, Registry

__all__ = [
    "ANSWERERS", "DEFAULT", "Answerer", "Finish", "Prompt", "Reply", "Shown", "Tell", "Usage",
    "answerer_of",
]  # fmt: skip

DEFAULT = "evidence-only"
_SERVICES = "openai"
ANSWERERS = Registry(
    "answerer",
    {
        DEFAULT: Adapter(
            "relook.answerers.evidence_only:EvidenceOnlyAnswerer",
            "no model: tells what the matches agree on; nothing is sent",
        ),
        _SERVICES: Adapter(
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


def answerer_of(model: str, names: Collection[str]) -> tuple[str, str]:
    """Which answerer a person means, and the model for it.

    `openai:gpt-4o` and `hf:FOLDER` name both; an answerer's name alone has no model; anything
    else ("gpt-4o", "llava:7b") is a model of a chat service.

    Args:
        model: What the person typed.
        names: The answerers that there are.
    """
    if model in names:
        return model, ""
    name, colon, rest = model.partition(":")
    return (name, rest) if colon and name in names else (_SERVICES, model)
