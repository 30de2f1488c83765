"""Queries from requests, and back. Layer: server.

A request names pictures by the id of an upload or of an image, never by a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relook.core.errors import QueryError
from relook.core.types import Box, Part, Query
from relook.library.records import printable
from relook.search.grammar import parse_query
from relook.server.requests import PartBody, PartsBody
from relook.serving.query_pictures import QueryPictures

__all__ = ["box_of", "no_files", "query_dict", "to_query"]


def to_query(asked: str | PartsBody, pictures: QueryPictures) -> Query:
    """The query that a request asks.

    Raises:
        QueryError: `no_server_files` when it names a file, and what `parse_query` raises.
        NotFoundError: `no_picture`.
    """
    if isinstance(asked, PartsBody):
        return Query(tuple(_part(one, pictures) for one in asked.parts))
    return no_files(parse_query(asked))


def no_files(query: Query, pictures: QueryPictures | None = None) -> Query:
    """The query, when it names no file but those of `pictures`.

    Raises:
        QueryError: `no_server_files`.
    """
    for part in query.parts:
        ours = part.image and pictures and pictures.picture_id(part.image)
        if part.image is not None and not ours:
            raise QueryError(
                "no_server_files",
                "image: would read a file of the server, which requests may not",
                "upload the picture (POST .../pictures) and ask with its picture_id",
            )
    return query


def _part(one: PartBody, pictures: QueryPictures) -> Part:
    image = None if one.picture is None else pictures.path(one.picture)
    return Part(one.text, image, one.image_id, box_of(one.box), one.weight)


def box_of(edges: list[float] | None) -> Box | None:
    """The box of a request.

    Raises:
        InputError: `bad_box` when it has no area.
    """
    return None if edges is None else Box(*edges)


def query_dict(query: Query, pictures: QueryPictures) -> Mapping[str, Any]:
    """A query as answers show it. Of a file that is not ours only the name is told."""
    parts = []
    for part in query.parts:
        values = part.as_dict()
        if part.image is not None:
            del values["image"]
            values["picture"] = pictures.picture_id(part.image)
            if values["picture"] is None:
                values["name"] = printable(part.image.name)
        parts.append(values)
    return {"parts": parts}
