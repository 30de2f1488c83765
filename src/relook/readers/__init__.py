"""Readers: the words that stand in pictures. Layer: readers. One adapter a file.

`READERS` names them; each class opens itself (`relook.readers.base`).
"""

from relook.core.registry import Adapter, Registry
from relook.readers.base import TextLine, TextReader

__all__ = ["DEFAULT", "READERS", "TextLine", "TextReader"]

DEFAULT = "rapidocr"
READERS = Registry(
    "reader",
    {
        "rapidocr": Adapter(
            "relook.readers.rapid:RapidReader",
            "RapidOCR with the models that its package brings; no download, no network",
            extra="ocr",
        ),
    },
)
