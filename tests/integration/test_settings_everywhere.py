"""A setting of a configuration means the same in every surface: one test walks all of them."""

import dataclasses
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mcp_parts
import pytest
from library_parts import many
from mcp_parts import call, values
from server_parts import serving

import relook
from relook.app import asking
from relook.app.configured import SECTIONS, config_of, library_of
from relook.app.models import LibraryEncoders
from relook.cli import search as search_command
from relook.cli.main import main
from relook.core.config_file import Config, Setting
from relook.core.settings import FeedbackSettings, SearchSettings
from relook.core.types import Box, Part
from relook.mcp import McpState
from relook.testing import ColourEncoder, solid

SETTINGS = [setting for setting, _ in Config(SECTIONS, {}).values()]
# What a library carries: section -> its attribute.
CARRIED = {
    "encoder": "encoder", "search": "search_settings", "images": "limits",
    "index": "index_settings", "sessions": "session_limits", "feedback": "feedback",
}  # fmt: skip
ASKED = {"ask": "ask", "model": "model", "gather": "gather", "evidence": "evidence",
         "answering": "texts"}  # fmt: skip
VALUES: dict[str, Any] = {
    "feedback.strategy": "prf", "serve.token": "a-token-of-24-characters",
    "mcp.token": "a-token-of-24-characters", "serve.host": "127.0.0.2", "mcp.host": "127.0.0.2",
    "images.isolated_bytes": 768 * 1024**2, "encoder.model": "builtin",
}  # fmt: skip


def another(setting: Setting) -> Any:
    """A value that is not the default, as TOML has it."""
    if setting.key in VALUES:
        return VALUES[setting.key]
    if choices := setting.field.metadata.get("choices"):
        return next(choice for choice in choices if choice != setting.default)
    if setting.kind is bool:
        return not setting.default
    if setting.kind in (int, float):
        return setting.kind((setting.default or 0) + 1)
    return ["x"] if setting.kind is tuple else "x"


class Seen:
    """What the surfaces opened: libraries, the settings of a server, those of questions."""

    def __init__(self) -> None:
        self.libraries: list[relook.Library] = []
        self.server: Any = None
        self.asking: Any = None
        self.added: dict[str, Any] = {}


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Stands where the surfaces open things; nothing is listened to, loaded or indexed."""
    told = Seen()
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path / "user"))
    for name in ("RELOOK_LIBRARY", "RELOOK_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def note(libraries: Any, settings: Any, *, asking: Any, **_: Any) -> Any:
        told.libraries, told.server, told.asking = list(libraries), settings, asking
        raise SystemExit(0)

    from relook.cli import config_flags, serve
    from relook.gateway import server_settings
    from relook.gateway.server_settings import ServerSettings

    page = SimpleNamespace(
        is_loopback=lambda host: True, ServerSettings=ServerSettings,
        bind=lambda settings: SimpleNamespace(close=lambda: None), create_app=note,
    )  # fmt: skip
    monkeypatch.setattr(serve, "_server_package", lambda: page)
    monkeypatch.setattr(serve, "_mcp_package", lambda: SimpleNamespace(McpState=note))
    monkeypatch.setattr(config_flags, "check_captioner", lambda *_: None)
    monkeypatch.setattr(server_settings, "_check_tls", lambda *_: None)

    def add(library: relook.Library, *paths: Any, **how: Any) -> Any:
        told.libraries, told.added = [library], {"paths": paths, **how}
        raise SystemExit(0)

    monkeypatch.setattr(relook.Library, "add", add)
    with ExitStack() as stack:
        yield told
        for library in told.libraries:
            stack.callback(library.close)


def captioned(library: relook.Library, section: str) -> Any:
    captions = library._captions
    return captions._chosen if section == "captioner" else captions._prompts


def surface(name: str, seen: Seen, file: str) -> None:
    """Opens a surface with a configuration."""
    if name == "python":
        seen.libraries = [relook.configured(file)]
    else:
        main([name, "--config", file])


def asked_with(library: relook.Library) -> Any:
    """The settings that a question to a library is asked with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "answer", lambda picture, question, library, options: options)
        return library.ask("square.jpg")["config"]  # type: ignore[index]


def reached(name: str, section: str, seen: Seen) -> Any:
    """The settings of a section that a surface works with; None where it has no use for them."""
    library = seen.libraries[0]
    if name == "index" and section in ("index", "ray"):
        return seen.added["settings" if section == "index" else "ray"]
    if section in ("captioner", "prompts"):
        return captioned(library, section)
    if section in ASKED and name in ("serve", "mcp"):
        return getattr(seen.asking, ASKED[section])
    if section in ASKED and name == "python":
        return getattr(asked_with(library), ASKED[section])
    if section == name:
        return seen.server
    return getattr(library, CARRIED[section]) if section in CARRIED else None


def expected(setting: Setting, value: Any) -> Any:
    return tuple(value) if setting.kind is tuple else setting.kind(value)


@pytest.mark.parametrize("name", ["index", "serve", "mcp", "python"])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_a_setting_reaches_a_surface(name: str, setting: Setting, seen: Seen) -> None:
    section, _, key = setting.key.partition(".")
    value = another(setting)
    Path("c.toml").write_text(f"[{section}]\n{key} = {json.dumps(value)}\n")
    surface(name, seen, "c.toml")
    if setting.key == "library.folder":
        assert seen.libraries[0].folder.name == value
    if (settings := reached(name, section, seen)) is None:
        return
    # An agent's boxes are sent elsewhere only when a flag says so, whatever a file agreed to.
    agreed = setting.key == "captioner.allow_upload" and name == "mcp"
    got = getattr(settings, key)
    shown = tuple(map(str, got)) if isinstance(got, tuple) else got
    assert shown == (False if agreed else expected(setting, value))
    assert got != setting.default or agreed


def test_every_section_is_reached_by_some_surface(seen: Seen) -> None:
    Path("c.toml").write_text('[encoder]\nmodel = "builtin"\n')
    sections = set()
    for name in ("index", "serve", "mcp", "python"):
        surface(name, seen, "c.toml")
        sections |= {section for section in SECTIONS if reached(name, section, seen) is not None}
    # The folder is looked at above; a library's pictures and watching belong to one command.
    assert sections == set(SECTIONS) - {"library", "watch"}


COMMANDS = {
    "search": ["search", "red"], "similar": ["similar", "red.png"], "look": ["look", "red"],
    "refine": ["refine", "abc"], "ask": ["ask", "red.png", "What is it?"],
}  # fmt: skip


@pytest.mark.parametrize("section", sorted(set(SECTIONS) - {"library"}))
@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_reaches_a_command(
    name: str, section: str, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All settings of a section at once; commands read the file as the surfaces above do."""
    from relook.serving.questions import Questions

    calls: list[dict[str, Any]] = []

    def note(library: relook.Library, *_: Any, **how: Any) -> Any:
        seen.libraries = [library]
        calls.append(how)
        raise SystemExit(0)

    def answer(questions: Any, wanted: Any, subject: Any, library: Any, *_: Any) -> Any:
        seen.asking, seen.libraries = questions.asking, [library] if library else []
        raise SystemExit(0)

    for method in ("search", "similar", "look", "session"):
        monkeypatch.setattr(relook.Library, method, note)
    monkeypatch.setattr(Questions, "answer", answer)
    solid("red").save("red.png")
    settings = [setting for setting in SETTINGS if setting.key.startswith(f"{section}.")]
    lines = [f"{each.key.partition('.')[2]} = {json.dumps(another(each))}" for each in settings]
    Path("c.toml").write_text("\n".join([f"[{section}]", *lines]))
    main([*COMMANDS[name], "--config", "c.toml"])
    assert calls or seen.asking
    if section in ASKED and name == "ask":
        reaching = getattr(seen.asking, ASKED[section])
    elif section in CARRIED and seen.libraries:
        reaching = getattr(seen.libraries[0], CARRIED[section])
    elif section in ("captioner", "prompts") and seen.libraries:
        reaching = captioned(seen.libraries[0], section)
    else:
        return
    for setting in settings:
        got = getattr(reaching, setting.key.partition(".")[2])
        shown = tuple(map(str, got)) if isinstance(got, tuple) else got
        assert shown == expected(setting, another(setting)), setting.key
    for flag in {"limit", "fold", "grammar"} & (
        calls[0].keys() if section == "search" and calls else set()
    ):
        assert calls[0][flag] in (None, getattr(reaching, flag))


FEEDBACK = FeedbackSettings(strategy="rocchio-paper", relevant=0.3, keep_shown=True)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[relook.Library]:
    many(tmp_path / "photos", 12)
    with relook.Library(
        tmp_path / "lib", encoder=ColourEncoder(), feedback=FEEDBACK, search=SearchSettings(limit=5)
    ) as opened:
        opened.add(tmp_path / "photos")
        yield opened


def test_the_api_looks_again_as_it_is_configured(library: relook.Library, tmp_path: Path) -> None:
    with serving(library, cache=tmp_path / "cache") as running:
        found = running.post("/search", {"query": "red"}).json()
        begun = running.post("/sessions", {"query": "red"}).json()
        first = begun["page"]["hits"]
        session = f"/sessions/{begun['session_id']}"
        running.post(f"{session}/judgements", {"image_id": first[1]["image_id"], "relevant": True})
        made = running.post(f"{session}/rounds", {}).json()
        told = running.get("").json()
    assert len(found["hits"]) == len(first) == len(made["page"]["hits"]) == 5
    assert made["round"]["strategy"] == "rocchio-paper"
    assert {hit["image_id"] for hit in first} & {hit["image_id"] for hit in made["page"]["hits"]}
    assert (told["limit"], told["strategy"], told["keep_shown"]) == (5, "rocchio-paper", True)


def test_an_agent_looks_again_as_it_is_configured(library: relook.Library) -> None:
    state = McpState([library], caption=mcp_parts.say_green)
    from relook.mcp import create_server

    server = create_server(state)
    begun = values(call(server, "begin_session", words="red"))
    again = values(
        call(server, "look_again", session_id=begun["session_id"],
             relevant=[begun["hits"][1]["image_id"]])
    )  # fmt: skip
    assert len(begun["hits"]) == len(again["hits"]) == 5
    assert library.session(begun["session_id"]).round.strategy == "rocchio-paper"


LINE = 'red - blue text:"stop" @night'


@pytest.fixture
def literal(library: relook.Library) -> relook.Library:
    library.search_settings = dataclasses.replace(library.search_settings, grammar=False)
    return library


def test_a_line_is_literal_in_every_surface(literal: relook.Library, tmp_path: Path) -> None:
    asked = (Part(LINE, literal=True),)
    assert literal.search(LINE).query.parts == literal.look(LINE).query.parts == asked
    with serving(literal, cache=tmp_path / "cache") as running:
        answers = [
            running.post("/search", {"query": LINE}),
            running.post("/search/picture", data={"query": LINE}, files={"file": red()}),
            running.post("/sessions", {"query": LINE}),
        ]
        words = [answer.json()["query"]["parts"][-1] for answer in answers]
        read = running.post("/search", {"query": "red - blue", "grammar": True}).json()
        begun = running.post("/sessions", {"query": "red - blue", "grammar": True}).json()
        assert running.get("").json()["grammar"] is False
    assert words == [{"text": LINE, "weight": 1.0, "literal": True}] * 3
    assert [len(page["query"]["parts"]) for page in (read, begun)] == [2, 2]
    from relook.mcp import create_server

    server = create_server(McpState([literal], caption=mcp_parts.say_green))
    found = values(call(server, "search", words=LINE))
    begun = values(call(server, "begin_session", words=LINE))
    assert found["query"]["parts"] == words[:1]
    assert literal.session(begun["session_id"]).query.parts == asked


def red() -> tuple[str, bytes]:
    buffer = io.BytesIO()
    solid("red").save(buffer, "PNG")
    return "red.png", buffer.getvalue()


@pytest.mark.parametrize(
    ("command", "flag", "parts"),
    [
        ("search", [], [LINE]), ("look", [], [LINE]), ("search", ["--grammar"], ["red", "blue"]),
        ("look", ["--grammar"], ["red", "blue"]), ("search", ["--literal"], [LINE]),
    ],
)  # fmt: skip
def test_a_line_is_literal_in_a_command(
    library: relook.Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    command: str, flag: list[str], parts: list[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(LibraryEncoders, "of", lambda *_: ColourEncoder())
    monkeypatch.setenv("RELOOK_SEARCH_GRAMMAR", "true" if flag == ["--literal"] else "false")
    line = LINE if parts == [LINE] else "red - blue"
    assert main([command, *flag, "--json", "--library", str(library.folder), "--", line]) == 0
    asked = json.loads(capsys.readouterr().out)["query"]["parts"]
    assert [part["text"] for part in asked] == parts


def test_words_at_places_have_a_form_of_their_own(library: relook.Library) -> None:
    query = search_command._asked("red - blue", ["green@0,0,0.5,1"], False)
    placed = Part("green", place=Box(0, 0, 0.5, 1))
    assert query.parts == (Part("red - blue", literal=True), placed)
    assert library.search(query, grammar=True).query == query


def test_weights_change_what_a_strategy_does(library: relook.Library) -> None:
    session = library.look("red")
    session.judge(session.page[1], relevant=True)
    parts = session.fitted().scorer.parts
    ours = dataclasses.replace(FEEDBACK, relevant=None)
    assert parts[1].vector @ parts[1].vector > 0
    session.feedback = ours
    paper = session.fitted().scorer.parts
    ratio = (parts[1].vector @ parts[1].vector) ** 0.5 / (parts[0].vector @ parts[0].vector) ** 0.5
    told = (paper[1].vector @ paper[1].vector) ** 0.5 / (paper[0].vector @ paper[0].vector) ** 0.5
    assert ratio == pytest.approx(0.3 / 0.8, rel=1e-3)
    assert told == pytest.approx(0.1 / 0.8, rel=1e-3)


def test_weights_of_a_strategy_without_any_are_told(library: relook.Library) -> None:
    session = library.look("red")
    session.feedback = FeedbackSettings(strategy="auto", relevant=0.3)
    assert any("feedback.relevant" in note for note in session.fitted().notes)
    assert not any("feedback.relevant" in note for note in session.fitted("probe").notes)


def test_an_unknown_strategy_in_a_file_is_told_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path / "user"))
    (tmp_path / "c.toml").write_text('[feedback]\nstrategy = "rochio"\n')
    config = config_of(str(tmp_path / "c.toml"))
    with pytest.raises(relook.RelookError, match="rochio") as raised:
        library_of(config, tmp_path / "lib")
    assert raised.value.code == "unknown_strategy"
