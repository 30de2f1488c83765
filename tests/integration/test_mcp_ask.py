"""MCP: questions, consent and resources."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from ask_parts import own_config  # noqa: F401 -- a fixture
from mcp import Client, MCPError
from mcp_parts import call, calls, code, serving, values
from mcp_server_parts import GREEN, RED, folder, server  # noqa: F401  (some are fixtures)

import relook
from relook.app.asking import Asking, open_asker
from relook.core.errors import NotFoundError
from relook.core.settings import AskSettings, EvidenceSettings
from relook.mcp import McpState
from relook.mcp.server import RelookServer
from relook.rag.consent import Consent
from relook.testing import ColourEncoder


@pytest.mark.usefixtures("own_config")
def test_ask_tells_its_evidence_and_its_progress(server: RelookServer) -> None:
    steps: list[tuple[float, str | None]] = []

    async def hear(done: float, total: float | None, message: str | None) -> None:
        steps.append((done, message))

    async def run() -> Any:
        async with Client(server) as client:
            asked = {"image_id": GREEN, "question": "What is it?"}
            return await client.call_tool("ask", asked, progress_callback=hear)

    result = asyncio.run(run())
    told = values(result)
    assert (told["question"], told["model"], told["sent"]) == ("What is it?", "", [])
    assert [one["provider"] for one in told["evidence"]["providers"]] == ["library"]
    assert "nothing was sent anywhere" in result.content[0].text
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert "provider library" in [message for _, message in steps]


@pytest.mark.usefixtures("own_config")
def test_consent_is_a_persons_and_given_at_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even what was agreed to for `relook ask` counts for an agent."""
    monkeypatch.setenv("OPENAI_API_KEY", "a key of nobody")
    for service in ("google-vision", "models.example"):
        Consent().allow(service)
    model = "openai:m@http://models.example/v1"
    config = Asking(ask=AskSettings(providers=("google-vision", "library")))
    with serving(folder, asking=config, ask_models=(model,)) as server:
        looked, asked, tried = calls(
            server,
            ("ask", {"image_id": RED}),
            ("ask", {"image_id": RED, "model": model, "providers": []}),
            ("ask", {"image_id": RED, "allow_upload": True}),
        )
    outcomes = {one["provider"]: one["outcome"] for one in values(looked)["evidence"]["providers"]}
    assert outcomes["google-vision"] == "not_allowed"
    assert outcomes["library"] in ("found", "nothing")
    assert values(looked)["sent"] == []
    assert code(asked) == "upload_not_allowed"
    assert "relook mcp --allow-upload" in asked.content[0].text
    assert code(tried) == "bad_request"


@pytest.mark.usefixtures("own_config")
def test_with_consent_at_the_start_a_service_is_asked(folder: Path) -> None:
    """It refuses for want of a key, which is to say that it was its turn."""
    config = Asking(ask=AskSettings(providers=("google-vision",)))
    with serving(folder, asking=config, allow_upload=True) as server:
        assert values(call(server, "list_libraries"))["allow_upload"] is True
        asked = call(server, "ask", image_id=RED)
    told = values(asked)
    assert 'note: "the picture is of one colour' in asked.content[0].text
    assert [one["outcome"] for one in told["evidence"]["providers"]] == ["bad_key"]


def test_resources_by_address(server: RelookServer) -> None:
    async def run() -> None:
        async with Client(server) as client:
            listed = (await client.list_resources()).resources
            assert [one.uri for one in listed] == ["relook://libraries"]
            templates = (await client.list_resource_templates()).resource_templates
            assert len(templates) == 5
            for uri, key in (
                ("relook://libraries", "libraries"),
                ("relook://libraries/library", "n_images"),
                ("relook://libraries/library/sessions", "sessions"),
                (f"relook://libraries/library/images/{GREEN}", "picture_uri"),
            ):
                found = json.loads((await client.read_resource(uri)).contents[0].text)
                assert key in found
            for uri, said in (
                ("relook://libraries/nope", "no_library"),
                ("relook://libraries/library/images/99", "no_image"),
                ("relook://libraries/library/images/one", "bad_id"),
                ("relook://libraries/library/sessions/nope", "no_session"),
            ):
                with pytest.raises(MCPError, match=said):
                    await client.read_resource(uri)

    asyncio.run(run())


def test_a_folder_that_is_no_library_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    library = relook.Library(tmp_path / "nothing", encoder=ColourEncoder())
    with pytest.raises(NotFoundError, match="nothing"):
        McpState([library])
    assert not (tmp_path / "nothing").exists()


@pytest.mark.usefixtures("own_config")
@pytest.mark.parametrize(("allowed", "pages"), [(False, 0), (True, 3)])
def test_without_consent_no_page_of_the_evidence_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, allowed: bool, pages: int
) -> None:
    """A recorded match may name a page; reading it tells its owner that we did."""
    seen: list[Asking] = []

    def spy(config: Asking, **how: Any) -> Any:
        seen.append(config)
        return open_asker(config, **how)

    monkeypatch.setattr("relook.serving.questions.open_asker", spy)
    asking = Asking(evidence=EvidenceSettings(pages=3))
    with serving(folder, asking=asking, allow_upload=allowed) as server:
        values(call(server, "ask", image_id=RED))
    assert [one.evidence.pages for one in seen] == [pages]
