"""Every console and Python block of README and docs runs, and shows what it says."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+\.\d+")


def blocks() -> list:
    """Every block as (page, kind, text)."""
    return [
        pytest.param(kind, text, id=f"{page.name}-{number}")
        for page in PAGES
        for number, (kind, text) in enumerate(BLOCK.findall(page.read_text("utf-8")), start=1)
    ]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `relook demo` leaves, `photos` of one's own, sidecars, libraries."""
    place = tmp_path_factory.mktemp("docs")
    run(place, "relook demo")
    (place / "photos").mkdir()
    for file in (place / "demo-photos").glob("*.[pj][np]g"):
        shutil.copy(file, place / "photos")
    (place / "captions.csv").write_text("path,caption\nphotos/chelsea.png,a cat looks up\n")
    coco = '{"images": [{"id": 1, "file_name": "chelsea.png"}], "annotations": []}'
    (place / "instances_val2017.json").write_text(coco)
    (place / "queries.jsonl").write_text(
        '{"query": "an animal", "relevant": ["chelsea.png", "horse.png"]}\n'
    )
    run(place, "relook index photos")
    shutil.copytree(place / "data" / "relook" / "library", place / "my.relook")
    return place


def run(place: Path, command: str) -> str:
    """Runs one command line as a person would; fails with its output unless it exits 0."""
    relook = Path(sys.executable).with_name("relook")
    words = shlex.split(command)
    assert words[0] == "relook", command
    env = {**os.environ, "HOME": str(place), "XDG_DATA_HOME": str(place / "data"), "COLUMNS": "100"}
    env["PYTHONUTF8"] = "1"  # the pages show tables as a terminal of today has them
    env.pop("RELOOK_LIBRARY", None)
    done = subprocess.run(
        [str(relook), *words[1:]],
        cwd=place,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def shape(text: str) -> list[str]:
    """Lines without their blanks, rules and decimals: what must not differ between machines."""
    lines = (" ".join(NUMBER.sub("0.0", line).split()) for line in text.splitlines())
    return [line for line in lines if line.strip("─ ")]


@pytest.mark.parametrize(("kind", "text"), blocks())
def test_block(place: Path, kind: str, text: str) -> None:
    if kind == "python":
        done = subprocess.run(
            [sys.executable, "-c", text],
            cwd=place,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)[1:]
    for command, expected in zip(parts[0::2], parts[1::2], strict=True):
        shown = run(place, command)
        if expected.strip():
            assert shape(shown) == shape(expected), command


def test_the_pages_have_blocks() -> None:
    """The pattern above still finds them."""
    assert len(blocks()) >= 4


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
