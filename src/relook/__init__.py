"""Relook: find images with words, look again with feedback, ask with visual evidence.

    import relook

    library = relook.Library("photos.relook")
    library.add("~/Pictures")
    page = library.search("dog on a beach", limit=20)
    page[0].path, page[0].score, page[0].tile

Names are imported when they are first used, so `import relook` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relook.app.configured import configured
    from relook.app.facade import Library, ask
    from relook.client import Client
    from relook.core.errors import RelookError
    from relook.core.types import Box, Hit, Page, Part, Query
    from relook.search.judging import JudgementRequest

__all__ = [
    "Box",
    "Client",
    "Hit",
    "JudgementRequest",
    "Library",
    "Page",
    "Part",
    "Query",
    "RelookError",
    "__version__",
    "ask",
    "configured",
]
__version__ = "0.1.0"

_HOMES = {
    "Client": "relook.client",
    "ask": "relook.app.facade",
    "Library": "relook.app.facade",
    "configured": "relook.app.configured",
    "JudgementRequest": "relook.search.judging",
    "RelookError": "relook.core.errors",
    "Box": "relook.core.types",
    "Hit": "relook.core.types",
    "Page": "relook.core.types",
    "Part": "relook.core.types",
    "Query": "relook.core.types",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'relook' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
