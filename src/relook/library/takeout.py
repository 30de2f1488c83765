"""What Google Takeout's JSON beside a picture says of it. Layer: library.

Source: files of Google Takeout, 2018 to 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from relook.library.picture_facts import place_facts
from relook.library.records import Words

__all__ = ["is_takeout", "takeout_words"]


def is_takeout(values: Mapping[str, Any]) -> bool:
    """Whether an object is of Takeout's photographs, and not any other JSON."""
    taken, place = values.get("photoTakenTime"), values.get("geoData")
    return isinstance(taken, Mapping) or isinstance(place, Mapping)


def takeout_words(values: Mapping[str, Any]) -> Words:
    """Caption, time, place and people; its title is but the name of the file."""
    facts: dict[str, Any] = {}
    if taken := _time(values.get("photoTakenTime")):
        facts |= {"taken_at": taken, "taken_from": "takeout"}
    for key in ("geoData", "geoDataExif"):
        place = values.get(key)
        if isinstance(place, Mapping) and "latitude" not in facts:
            facts |= place_facts(place.get("latitude"), place.get("longitude"))
    people = values.get("people")
    names = [person.get("name") for person in people or () if isinstance(person, Mapping)]
    if texts := [name for name in names if isinstance(name, str) and name]:
        facts["people"] = ", ".join(texts)
    if values.get("favorited") is True:
        facts["favorite"] = True
    description = values.get("description")
    return Words("", description.strip() if isinstance(description, str) else "", facts)


def _time(value: object) -> str:
    try:
        seconds = int(value["timestamp"])  # type: ignore[index]
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return ""
