"""Reads JSON of services, which do not guarantee its shape. Layer: providers. It never raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["object_of", "rows_of", "text_of", "url_of"]


def object_of(value: object) -> Mapping[str, Any]:
    """The object, or an empty one when it is something else."""
    return value if isinstance(value, dict) else {}


def rows_of(values: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """The objects in a list; empty when there is no list."""
    rows = values.get(field)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def text_of(value: object) -> str:
    """The string, or a number as one; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return str(value)


def url_of(value: object) -> str:
    """An http(s) address, given as a string or as an object with a `link`; empty otherwise."""
    if isinstance(value, dict):
        value = value.get("link") or value.get("url")
    text = value.strip() if isinstance(value, str) else ""
    return text if text.startswith(("http://", "https://")) else ""
