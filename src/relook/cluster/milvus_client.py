"""Talking to Milvus: collections, rows, and its troubles as our errors. Layer: cluster.

Everything waits for an end: a server that is down is told within seconds, not tried for
minutes. Reads see what was written before them (Milvus calls that strong consistency).

Source: Milvus 2.6 documentation, https://milvus.io/docs (limits: 16,384 results a search or
query; expressions; consistency levels; index parameters).

Where a collection is, is one line of text:

    milvus://HOST:PORT/COLLECTION              a server or a cluster
    milvus://HOST:PORT/DATABASE/COLLECTION     in a database of it
    milvus+tls://HOST:PORT/COLLECTION          over TLS
    milvus:///FOLDER/FILE.db/COLLECTION        milvus-lite, in this process

`?index=KIND` says how a new collection is indexed. A token is no part of the address, since a
library keeps the address in its manifest: it is read from `$RELOOK_MILVUS_TOKEN`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from relook.core.errors import InputError, MissingExtraError, StoreError
from relook.core.vectors import Floats

if TYPE_CHECKING:
    from pymilvus import MilvusClient

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
        why = f"{collection!r} is no name for a collection: letters, digits and _, no digit first"
        raise _bad(text, why)
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


def _bad(text: str, why: str) -> InputError:
    return InputError("bad_store", f"{text!r} is not the address of a store", why)


MOST_RESULTS = 16_384
"""What one search or query of Milvus returns at most."""
VECTOR = "vector"
"""The field with a row's vector."""
_TIMEOUT_S = 30.0
_UPSERT_BYTES = 8 * 1024**2
_LOADED = 3
_BUILD: dict[str, dict[str, int]] = {
    "IVF_FLAT": {"nlist": 1024}, "IVF_SQ8": {"nlist": 1024},
    "HNSW": {"M": 32, "efConstruction": 200}, "HNSW_SQ": {"M": 32, "efConstruction": 200},
}  # fmt: skip

Field = tuple[str, str, Mapping[str, Any]]
"""Name, type as pymilvus calls it, and further arguments."""


class Milvus:
    """The server, or the file of milvus-lite, of an address; connected when first asked.

    Args:
        address: Where it is.
        timeout_s: How long one request may take.
    """

    def __init__(self, address: MilvusAddress, timeout_s: float = _TIMEOUT_S) -> None:
        self.address, self._timeout_s = address, timeout_s
        self._opened: MilvusClient | None = None
        self._lock = threading.Lock()

    @property
    def connection(self) -> object | None:
        """Stands for the open connection; another one after it was lost, None in between."""
        return self._opened

    def has(self, collection: str) -> bool:
        """Whether there is such a collection."""
        with self._talking() as client:
            return bool(client.has_collection(collection, timeout=self._timeout_s))

    def fields(self, collection: str) -> dict[str, Mapping[str, Any]]:
        """The fields of a collection by name, as Milvus describes them."""
        with self._talking() as client:
            described = client.describe_collection(collection, timeout=self._timeout_s)
        return {field["name"]: field for field in described["fields"]}

    def index_kind(self, collection: str) -> str:
        """How the vectors of a collection are indexed."""
        with self._talking() as client:
            index = client.describe_index(collection, VECTOR, timeout=self._timeout_s)
        return str((index or {}).get("index_type", "FLAT"))

    def create(
        self, collection: str, fields: Sequence[Field], dim: int, index: str, n_shards: int = 1
    ) -> None:
        """Makes a collection, loaded and indexed, whose first field is the primary key."""
        from pymilvus import DataType

        with self._talking() as client:
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            for at, (name, kind, more) in enumerate(fields):
                schema.add_field(name, DataType[kind], is_primary=at == 0, **more)
            schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dim)
            indexes = client.prepare_index_params()
            indexes.add_index(
                VECTOR, index_type=index, metric_type="IP", params=_BUILD.get(index, {})
            )
            client.create_collection(
                collection, schema=schema, index_params=indexes, num_shards=n_shards,
                consistency_level="Strong", timeout=self._timeout_s,
            )  # fmt: skip

    def load(self, collection: str) -> None:
        """Makes sure that a collection can be searched."""
        with self._talking() as client:
            state = client.get_load_state(collection, timeout=self._timeout_s)["state"]
            if int(state) != _LOADED:  # loading one that is loaded waits all the same
                client.load_collection(collection, timeout=self._timeout_s)

    def upsert(self, collection: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes rows over those with the same keys; doing it twice changes nothing."""
        row_bytes = 1024 + 4 * max((len(row[VECTOR]) for row in rows), default=0)
        step = max(_UPSERT_BYTES // row_bytes, 1)
        with self._talking() as client:
            for at in range(0, len(rows), step):
                some = [dict(row) for row in rows[at : at + step]]
                client.upsert(collection, some, timeout=self._timeout_s)

    def delete(self, collection: str, expression: str) -> None:
        """Deletes the rows that an expression lets through; none is fine."""
        with self._talking() as client:
            client.delete(collection, filter=expression, timeout=self._timeout_s)

    def query(
        self, collection: str, expression: str, fields: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Fields of rows that an expression lets through: `MOST_RESULTS` at most, in no order."""
        with self._talking() as client:
            answer = client.query(
                collection, filter=expression, output_fields=list(fields), limit=MOST_RESULTS,
                consistency_level="Strong", timeout=self._timeout_s,
            )  # fmt: skip
            return [dict(row) for row in answer]

    def count(self, collection: str, expression: str) -> int:
        """How many rows an expression lets through."""
        with self._talking() as client:
            answer = client.query(
                collection, filter=expression, output_fields=["count(*)"],
                consistency_level="Strong", timeout=self._timeout_s,
            )  # fmt: skip
            return int(answer[0]["count(*)"])

    def search(
        self,
        collection: str,
        queries: Floats,
        limit: int,
        expression: str,
        parameters: Mapping[str, Any],
        fields: Sequence[str] = (),
    ) -> list[list[dict[str, Any]]]:
        """The nearest rows of each query [q, d], as `{"row", "distance", "entity"}`, best first."""
        with self._talking() as client:
            answer = client.search(
                collection, list(queries), filter=expression, limit=limit,
                output_fields=list(fields), anns_field=VECTOR,
                search_params={"metric_type": "IP", "params": dict(parameters)},
                consistency_level="Strong", timeout=self._timeout_s,
            )  # fmt: skip
            # Milvus 2.3 does not say what the primary key is called.
            return [
                [{**hit, "row": hit.get("row", hit.get("id"))} for hit in hits] for hits in answer
            ]

    def close(self) -> None:
        """Ends the connection; closing twice is fine."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    @contextlib.contextmanager
    def _talking(self) -> Iterator[MilvusClient]:
        client = self._client()
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            yield client
        except (MilvusException, grpc.RpcError) as error:
            # The next request connects anew: a client that lost its server does not find it again.
            with contextlib.suppress(MilvusException, grpc.RpcError):
                self.close()
            raise self._trouble(error) from error

    def _client(self) -> MilvusClient:
        with self._lock:
            if self._opened is None:
                self._opened = self._connect()
            return self._opened

    def _connect(self) -> MilvusClient:
        try:
            import pymilvus
            from pymilvus.exceptions import MilvusException

        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "missing_extra",
                f"a library in Milvus needs the package {error.name!r}",
                "pip install 'relook[milvus]'",
            ) from error
        if self.address.is_file and importlib.util.find_spec("milvus_lite") is None:
            raise MissingExtraError(
                "missing_extra",
                f"Milvus in a file ({self.address.uri}) needs the package 'milvus-lite'",
                "pip install 'relook[milvus]' milvus-lite",
            )
        # Every error is raised to us and told once; these would write its trace beside it, and
        # milvus-lite's server one for each request that it does not know.
        for noisy in ("pymilvus", "milvus_lite", "grpc._server"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        address = self.address
        try:
            return pymilvus.MilvusClient(
                address.uri, token=address.token, db_name=address.database,
                timeout=self._timeout_s, dedicated=True,
            )  # fmt: skip
        except MilvusException as error:
            raise self._trouble(error) from error

    def _trouble(self, error: Exception) -> StoreError | InputError:
        """What Milvus says, as one of our errors."""
        text = " ".join(str(getattr(error, "message", error)).split())[:300]
        if any(word in text.lower() for word in ("auth", "permission", "privilege")):
            return InputError(
                "store_refused",
                f"Milvus at {self.address.uri} refuses: {text}",
                f"put user:password or an API key into ${TOKEN}",
            )
        if self.address.is_file:
            hint = "milvus-lite lets one process have a file: end the other one, or run a server"
        else:
            hint = "see that it runs, and run the same command again; what was committed is kept"
        return StoreError(
            "store_failed", f"Milvus at {self.address.uri} did not do it: {text}", hint
        )
