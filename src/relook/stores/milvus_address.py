"""Where a collection of Milvus is, as one line of text. Layer: stores.

    milvus://HOST:PORT/COLLECTION              a server or a cluster
    milvus://HOST:PORT/DATABASE/COLLECTION     in a database of it
    milvus+tls://HOST:PORT/COLLECTION          over TLS
    milvus:///FOLDER/FILE.db/COLLECTION        milvus-lite, in this process

`?index=KIND` says how a new collection is indexed. A token is no part of the address, since a
library keeps the address in its manifest: it is read from `$RELOOK_MILVUS_TOKEN`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from relook.core.errors import InputError

__all__ = ["INDEX_KINDS", "TOKEN", "MilvusAddress"]

TOKEN = "RELOOK_MILVUS_TOKEN"
"""The environment variable with `user:password` or an API key."""
INDEX_KINDS = ("FLAT", "IVF_FLAT", "IVF_SQ8", "HNSW", "HNSW_SQ", "DISKANN", "AUTOINDEX")
"""How a collection may be indexed; the first is exact."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_PORT = 19530
_FORMS = "milvus://HOST:19530/COLLECTION, or milvus:///FOLDER/FILE.db/COLLECTION for milvus-lite"


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """The place of one collection.

    Args:
        uri: What `pymilvus` connects to: an http(s) address, or a file that ends in `.db`.
        collection: Its name.
        database: Of a server; the default one when empty.
        index: Kind of index that a new collection gets.
    """

    uri: str
    collection: str
    database: str = ""
    index: str = "FLAT"

    @classmethod
    def parse(cls, text: str) -> MilvusAddress:
        """Reads an address.

        Raises:
            InputError: `bad_store` for what is none; `secret_in_store` when it holds a password.
        """
        parts = urlsplit(text)
        if parts.scheme not in ("milvus", "milvus+tls"):
            raise _bad(text, f"it does not begin with milvus:// or milvus+tls:// ({_FORMS})")
        if parts.username or parts.password:
            raise InputError(
                "secret_in_store",
                f"the address of the store at {parts.hostname} holds a user or a password",
                f"take it out, and put user:password into ${TOKEN}",
            )
        places = [part for part in parts.path.split("/") if part]
        if not parts.netloc:
            return cls._file(text, places, parts.query)
        if len(places) not in (1, 2):
            raise _bad(text, f"it names no collection ({_FORMS})")
        *database, collection = places
        scheme = "https" if parts.scheme == "milvus+tls" else "http"
        try:
            server = f"{scheme}://{_bracketed(parts.hostname or '')}:{parts.port or _PORT}"
        except ValueError as error:  # a port that is no number
            raise _bad(text, str(error)) from error
        index = _index(text, parts.query, "HNSW")
        return cls(server, _name(text, collection), "".join(database), index)

    @classmethod
    def _file(cls, text: str, places: list[str], query: str) -> MilvusAddress:
        if len(places) < 2 or not places[-2].endswith(".db"):
            raise _bad(text, f"a file of milvus-lite ends in .db ({_FORMS})")
        file = "/" + "/".join(places[:-1])
        return cls(file, _name(text, places[-1]), index=_index(text, query, "FLAT"))

    @property
    def is_file(self) -> bool:
        """Whether it is a file of milvus-lite, which one process has at a time."""
        return self.uri.endswith(".db")

    @property
    def token(self) -> str:
        """The secret for it, from the environment; empty when there is none."""
        return "" if self.is_file else os.environ.get(TOKEN, "")

    def __str__(self) -> str:
        """The address as `parse` reads it, its index left out: that is the collection's matter."""
        if self.is_file:
            return f"milvus://{self.uri}/{self.collection}"
        scheme, _, server = self.uri.partition("://")
        places = "/".join(filter(None, (self.database, self.collection)))
        return f"{'milvus+tls' if scheme == 'https' else 'milvus'}://{server}/{places}"


def _name(text: str, collection: str) -> str:
    if not _NAME.fullmatch(collection):
        told = f"{collection!r} is no name for a collection: letters, digits and _, no digit first"
        raise _bad(text, told)
    return collection


def _index(text: str, query: str, default: str) -> str:
    options = dict(parse_qsl(query, keep_blank_values=True))
    kind = options.pop("index", default).upper()
    if options:
        raise _bad(text, f"there is no option {next(iter(options))!r}; there is index")
    if kind not in INDEX_KINDS:
        raise _bad(text, f"there is no index {kind!r}; there are {', '.join(INDEX_KINDS)}")
    return kind


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _bad(text: str, told: str) -> InputError:
    return InputError("bad_store", f"{text!r} is not the address of a store", told)
