"""Addresses of collections: what they mean, and what is wrong with the others."""

import pytest

from relook.cluster.milvus_client import TOKEN, MilvusAddress
from relook.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "uri", "collection", "database", "index"),
    [
        ("milvus://box/pics", "http://box:19530", "pics", "", "HNSW"),
        ("milvus://box:7/db1/pics?index=ivf_sq8", "http://box:7", "pics", "db1", "IVF_SQ8"),
        ("milvus+tls://[::1]:7/pics", "https://[::1]:7", "pics", "", "HNSW"),
        ("milvus:///var/a.db/pics", "/var/a.db", "pics", "", "FLAT"),
    ],
)
def test_what_an_address_means(
    text: str, uri: str, collection: str, database: str, index: str
) -> None:
    found = MilvusAddress.parse(text)
    assert (found.uri, found.collection) == (uri, collection)
    assert (found.database, found.index) == (database, index)
    again = MilvusAddress.parse(str(found))
    assert (again.uri, again.collection, again.database) == (uri, collection, database)
    assert str(again) == str(found)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://box/pics", "does not begin with milvus"),
        ("pics", "does not begin with milvus"),
        ("milvus://box", "names no collection"),
        ("milvus://box/a/b/c", "names no collection"),
        ("milvus:///var/a.sqlite/pics", r"ends in \.db"),
        ("milvus://box/1pics", "is no name for a collection"),
        ("milvus://box/a-b", "is no name for a collection"),
        ("milvus://box:x/pics", "x"),
        ("milvus://box/pics?index=best", "there is no index 'BEST'"),
        ("milvus://box/pics?kind=FLAT", "there is no option 'kind'"),
    ],
)
def test_what_is_wrong_is_said(text: str, told: str) -> None:
    with pytest.raises(InputError) as raised:
        MilvusAddress.parse(text)
    assert raised.value.code == "bad_store"
    assert raised.match(told)


def test_a_secret_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"\$RELOOK_MILVUS_TOKEN") as raised:
        MilvusAddress.parse("milvus://root:hunter2@box/pics")
    assert "hunter2" not in str(raised.value)
    monkeypatch.setenv(TOKEN, "root:hunter2")
    assert MilvusAddress.parse("milvus://box/pics").token == "root:hunter2"
    assert MilvusAddress.parse("milvus:///a.db/pics").token == ""
    assert "hunter2" not in repr(MilvusAddress.parse("milvus://box/pics"))
