"""`relook bench identify` as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relook.cli.main import command_line
from relook.testing import COLOURS, solid


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Four pictures a colour, in slightly different sizes, with the colour in their captions."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rows = []
    for colour in COLOURS:
        for at in range(3):
            solid(colour, 60 + 40 * at, 90).save(pictures / f"{colour}-{at}.png")
            rows.append(json.dumps({"path": f"{colour}-{at}.png", "caption": f"all {colour}"}))
    (tmp_path / "words.jsonl").write_text("\n".join(rows))
    told = CliRunner().invoke(
        command_line(),
        [
            "index",
            str(pictures),
            "-l",
            str(tmp_path / "l"),
            "--metadata",
            f"{tmp_path}/words.jsonl",
        ],
    )
    assert told.exit_code == 0, told.output
    return tmp_path / "l"


def run(library: Path, labels: Path, *more: str) -> tuple[int, str]:
    told = CliRunner().invoke(
        command_line(), ["bench", "identify", "--labels", str(labels), "-l", str(library), *more]
    )
    return told.exit_code, told.stdout


def test_identify(library: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    colour = COLOURS[0]
    files = [f"{colour}-{at}.png" for at in range(3)]
    labels.write_text(json.dumps({"query": colour, "relevant": [*files, "gone.png"]}))
    code, out = run(library, labels, "--json")
    assert code == 0
    told = json.loads(out)
    counts = {"n_labelled": 3, "n_photographs": 3, "n_names": 1, "n_unmatched": 1, "n_failed": 0}
    assert counts.items() <= told.items()
    assert told["n_images"] == 3 * len(COLOURS)
    chance = told["name@1_chance"]
    assert chance == pytest.approx(2 / (3 * len(COLOURS) - 1), abs=1e-4)
    code, out = run(library, labels)
    assert code == 0
    assert "first 5" in out


def test_labels_of_other_pictures_are_an_error(library: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"query": "dog", "relevant": ["x.png"]}')
    assert run(library, labels)[0] == 1
