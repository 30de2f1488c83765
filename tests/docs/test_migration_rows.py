"""Each row of the page for VisualReF's users is true: its commands, and the keys of its files."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

import relook
from relook.app.configured import config_of, shipped
from relook.bench.answers import MEASURES
from relook.bench.ask_runs import RUNS
from relook.cli.main import command_line
from relook.compat.visualref import translate
from relook.datasets.catalogue import COCO, RETAIL
from relook.feedback.strategies import STRATEGIES
from relook.gateway.server_settings import ServerSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "migrating-from-visualref.md").read_text("utf-8")
TABLE = PAGE.split("What becomes of each key:")[1].split("## ")[0]
COMMANDS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.split("## ", maxsplit=1)[0].splitlines()
    if line.startswith("| `")
]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TABLE.splitlines()
    if line.startswith("| `")
]
BASE = {"VLM_MODEL_NAME": "openai/clip-vit-base-patch32", "MODEL_ID": "llava-hf/llava-1.5-7b-hf"}
VALUES = {
    "VLM_MODEL_FAMILY": "clip", "MODEL_FAMILY": "llava", "INDEX_PATH": "faiss/x/image.faiss",
    "IMAGE_CORPUS_PATH": "photos", "TOP_K": 7, "USE_8BIT": True, "DEVICE": "cuda:1",
    "PROMPT": "USER: <image> For {}: a {}? ASSISTANT:", "FUSE_INITIAL_QUERY": False,
    "IMG_SIZE": 224, "PATCH_SIZE": 32, "SHOW_IMAGE_GALLERY": True, "SHOW_ANNOTATORS": True,
    "RETRIEVAL_LOGS_PATH": "logs.json", **BASE,
}  # fmt: skip
KEY = re.compile(r"`([A-Z_0-9]+)`")
SETTING = re.compile(r"`((?:encoder|library|search|captioner|prompts|feedback)\.[a-z_]+)")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_is_true(row: list[str]) -> None:
    keys, told = KEY.findall(row[0]), row[1]
    translation = translate({**BASE, **{key: VALUES[key] for key in keys}})
    for setting in SETTING.findall(told):
        assert setting in translation.settings
    for setting, value in re.findall(r'`([a-z_.]+) = "([^"]+)"', told):
        assert str(translation.settings[setting]).startswith(value.rstrip("."))
    if "needless" in told or "note" in told:
        for key in keys:
            assert any(note.startswith(f"{key}:") for note in translation.notes)


def test_every_key_that_is_known_has_a_row() -> None:
    told = {key for row in ROWS for key in KEY.findall(row[0])}
    assert told == set(VALUES)


@pytest.mark.parametrize(("fuse", "rounds"), [(True, "fused"), (False, "chained"), (None, "fused")])
def test_rounds_are_as_the_page_says(fuse: bool | None, rounds: str) -> None:
    given = {} if fuse is None else {"FUSE_INITIAL_QUERY": fuse}
    settings = translate({**BASE, **given}).settings
    assert settings["feedback.rounds"] == rounds
    assert settings["search.limit"] == 5
    assert settings["feedback.strategy"] == "caption-rocchio"


def test_a_key_of_the_summarizer_is_told_and_any_other_is_unknown() -> None:
    translation = translate({"pooler_config": {}, "COLOUR": 1})
    assert "AFS" in translation.notes[0]
    assert translation.unknown == ["COLOUR"]


def parsed(command: str) -> tuple[str, dict[str, Any]]:
    """What the command line makes of a command: its name and its parameters; nothing is run."""
    words = shlex.split(command)
    assert words.pop(0) == "relook"
    group: Any = typer.main.get_command(command_line())
    names = []
    while hasattr(group, "commands"):
        names.append(words.pop(0))
        group = group.commands[names[-1]]
    return " ".join(names), group.make_context(group.name, words).params


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path))
    for name in ("RELOOK_LIBRARY", "RELOOK_TOKEN", "RELOOK_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("own_settings")
@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row[1])
def test_a_command_of_the_page_is_one_and_does_what_the_old_one_does(row: list[str]) -> None:
    old, new = row
    for command in re.findall(r"`(relook [^`]+)`", new):
        name, params = parsed(command)
        named = re.search(r"--config (\S+)", command)
        config = config_of(named[1]) if named else None
        if model := re.search(r"--model_id (\S+)`?", old):
            assert config is not None
            assert config.given("encoder.model") == f"hf:{model[1].strip('`')}"
            assert config.given("encoder.tiles") == "none"  # one vector a picture, as there
        if data := re.search(r"--data (\S+)", old):
            assert [str(path).rstrip("/") for path in params["paths"]] == [data[1].rstrip("/")]
        if name == "serve":
            assert config is not None
            assert config.given("captioner.model") == "hf:llava-hf/llava-1.5-7b-hf"
            family = re.search(r"(coco|retail)_clip_large", old)
            assert family is None or named is None or named[1].startswith(family[1])
        if name == "dataset coco":
            assert f"{params['split']}.zip" in old
            assert COCO[params["split"]].archives[0].name in old
        if name == "dataset retail-786k":
            assert RETAIL[256].record.rpartition("/")[2] in old
    if "curl" in new:
        assert f"localhost:{ServerSettings().port}/api/v1/health" in new
        assert "/health" in (ROOT / "docs" / "reference" / "rest.md").read_text("utf-8")
    if "relook.Client" in new:
        assert relook.Client
    if extras := re.search(r"pip install 'relook\[([a-z,]+)\]'", new):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        assert set(extras[1].split(",")) <= set(project["optional-dependencies"])


@pytest.mark.usefixtures("own_settings")
def test_every_other_command_of_the_page_is_one(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    (tmp_path / "my.toml").write_text("")
    spoken = re.findall(r"`(relook (?:model|export|session)[^`]+)`", PAGE)
    assert len(lines) > 2
    for command in [*lines, *(one for one in spoken if "LIBRARY" not in one)]:
        parsed(command.replace("my.toml", str(tmp_path / "my.toml")))
    assert {"coco-clip-large", "retail-786k-clip-large"} <= shipped().keys()


def test_the_papers_runs_and_measures_are_explained() -> None:
    """`rir-api.md` sends whoever used the paper's branch there."""
    ask = (ROOT / "docs" / "ask.md").read_text("utf-8").partition("## Measuring answers")[2]
    assert {name for name in (*RUNS, *MEASURES) if f"`{name}`" not in ask} == set()
    assert "ask.md" in (ROOT / "docs" / "rir-api.md").read_text("utf-8")


def test_every_strategy_is_explained_and_measured() -> None:
    page = (ROOT / "docs" / "look-again.md").read_text("utf-8")
    _, explained, measured = re.split(r"^\| (?:name|strategy) \| .*\n", page, flags=re.M)[:3]
    for name in STRATEGIES:
        assert f"| `{name}` |" in explained.split("\n\n")[0]
        assert name == "none" or f"| `{name}` |" in measured.split("\n\n")[0]
