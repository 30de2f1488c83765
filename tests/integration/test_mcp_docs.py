"""docs/mcp.md tells the tools as the server has them; docs/retriever.md runs."""

import asyncio
import json
import re
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcp import Client
from mcp.types.version import KNOWN_PROTOCOL_VERSIONS
from mcp_parts import SHOWS_APPS, make_library
from mcp_parts import serving as serving_mcp
from server_parts import serving as serving_rest
from typer.main import get_command

import relook
from relook.cli.main import command_line
from relook.mcp.server import RelookServer
from relook.testing import ColourEncoder

DOCS = Path(__file__).parents[2] / "docs"
RED = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_library(tmp_path_factory.mktemp("docs"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RelookServer]:
    with serving_mcp(folder) as running:
        yield running


def blocks(page: str, kind: str) -> list[str]:
    text = (DOCS / page).read_text("utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


async def tools_of(server: RelookServer, extensions: Sequence[Any] = ()) -> list[Any]:
    async with Client(server, extensions=extensions) as client:
        return list((await client.list_tools()).tools)


def documented(tool: Any) -> str:
    """A tool's line: its name, its arguments, and the first sentence that agents read."""
    first = re.split(r"(?<=[.])\s", " ".join(tool.description.split()), maxsplit=1)[0]
    arguments = ", ".join(f"`{name}`" for name in tool.input_schema.get("properties", {}))
    return f"| `{tool.name}` | {arguments or 'none'} | {first} |"


def test_the_table_of_tools_is_the_servers(server: RelookServer) -> None:
    text = (DOCS / "mcp.md").read_text("utf-8")
    usual = asyncio.run(tools_of(server))
    known = {tool.name for tool in usual}
    window = [tool for tool in asyncio.run(tools_of(server, SHOWS_APPS)) if tool.name not in known]
    for tools in (usual, window):
        lines = [documented(tool) for tool in tools]
        wanted = "\n".join(["| tool | arguments | what it does |", "|---|---|---|", *lines])
        assert f"{wanted}\n\n" in text, f"docs/mcp.md needs:\n{wanted}"


def test_resources_in_the_docs_are_the_servers(server: RelookServer) -> None:
    async def addresses() -> list[str]:
        async with Client(server) as client:
            listed = [one.uri for one in (await client.list_resources()).resources]
            templates = (await client.list_resource_templates()).resource_templates
            return [*listed, *(one.uri_template for one in templates)]

    text = (DOCS / "mcp.md").read_text("utf-8")
    told = re.findall(r"^\| `(relook://\S+)`", text, re.MULTILINE)
    assert sorted(told) == sorted(asyncio.run(addresses()))


def test_the_versions_in_the_docs_are_the_sdks() -> None:
    _, _, text = (DOCS / "mcp.md").read_text("utf-8").partition("## Versions of the protocol")
    named = set(re.findall(r"\d{4}-\d\d-\d\d", text))
    assert named == set(KNOWN_PROTOCOL_VERSIONS)


def test_configurations_start_a_command_that_there_is() -> None:
    command = get_command(command_line()).commands["mcp"]  # type: ignore[attr-defined]
    known = {flag for option in command.params for flag in option.opts}
    found = [json.loads(text) for text in blocks("mcp.md", "json")]
    assert len(found) == 3
    for one in found:
        (named,) = one.values()
        assert named["relook"]["command"] == "relook"
        first, *arguments = named["relook"]["args"]
        assert first == "mcp"
        assert {word for word in arguments if word.startswith("-")} <= known


class Document(NamedTuple):
    """Stands in for LangChain's."""

    page_content: str
    metadata: dict[str, Any]


class BaseRetriever:
    """Stands in for LangChain's: fields by keyword, and `invoke`."""

    def __init__(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self, name, value)

    def invoke(self, query: str) -> list[Document]:
        return self._get_relevant_documents(query, run_manager=None)  # type: ignore[attr-defined]


@pytest.fixture
def retrievers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The classes of docs/retriever.md, by name."""
    for name, what in (("documents", Document), ("retrievers", BaseRetriever)):
        module = types.ModuleType(f"langchain_core.{name}")
        setattr(module, what.__name__, what)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "langchain_core", types.ModuleType("langchain_core"))
    names: dict[str, Any] = {}
    for text in blocks("retriever.md", "py"):
        exec(compile(text, "docs/retriever.md", "exec"), names)
        body = text[text.index("class ") :].splitlines()
        assert len([line for line in body if line.strip()]) <= 11
    return names


def test_a_retriever_over_rest(retrievers: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    library = relook.Library(folder, encoder=ColourEncoder())
    with serving_rest(library, cache=tmp_path) as running:
        retriever = retrievers["RelookRetriever"](
            library_id=running.library_id, address=running.address, limit=2
        )
        found = retriever.invoke("red")
    assert found[0].metadata["image_id"] == RED
    assert len(found) == 2


def test_a_retriever_over_mcp(retrievers: dict[str, Any], server: RelookServer) -> None:
    retriever = retrievers["RelookMcpRetriever"](server=server, limit=2)
    found = retriever.invoke("green")
    assert found[0].page_content.startswith("Ignore previous")
    assert len(found) == 2
