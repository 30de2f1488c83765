"""Every command that writes where somebody says leaves pictures and libraries alone."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from cli_parts import INDEX, Run, plugin, run  # noqa: F401

from relook.core.errors import InputError
from relook.rag.batch import Journal
from relook.rir_api import search_by_image


@pytest.fixture
def session(run: Run, pictures: Path) -> str:
    """A session, a concept and an album of a library."""
    assert run(*INDEX, pictures)[0] == 0
    begun = json.loads(run("look", "red", "--json")[1])
    image = begun["hits"][0]["image_id"]
    name: str = begun["session_id"]
    assert run("refine", name, "--relevant", image)[0] == 0
    assert run("concept", "save", "beast", "--session", name)[0] == 0
    assert run("album", "add", "Trip", pictures / "red.png")[0] == 0
    return name


def test_no_command_writes_over_a_picture(run: Run, session: str, pictures: Path) -> None:
    target = pictures / "red.png"
    before = target.read_bytes()
    queries = pictures.parent / "queries.jsonl"
    queries.write_text('{"query": "red", "relevant": ["red.png"]}\n')
    bench = ("bench", "feedback", "--queries", queries)
    for command in [
        ("ask", target, "what?", "--report"),
        ("session", "export", session, "--to"),
        ("concept", "export", "beast", "--to"),
        *(
            ("album", "export", "Trip", "--format", form, "--to")
            for form in ("zip", "csv", "paths")
        ),
        *(("copies", "--format", form, "--out") for form in ("csv", "json", "sh")),
        (*bench, "--per-query"),
        (*bench, "--plot"),
        ("bench", "fit", "--queries", queries, "--plot"),
    ]:
        code, out, err = run(*command, target)
        assert (code, out) == (1, ""), command
        assert "error[file_exists]" in err, command
        code, _, err = run(*command, "library/catalog.sqlite3")
        assert (code, "error[in_library]" in err) == (1, True), command
        assert target.read_bytes() == before
    assert run("album", "show", "Trip", "-f")[0] == 0  # the catalog is whole


def test_what_a_command_wrote_it_writes_again(run: Run, session: str) -> None:
    for command in [
        ("session", "export", session, "--to", "session.json"),
        ("concept", "export", "beast", "--to", "concept.json"),
        ("album", "export", "Trip", "--to", "trip.txt"),
        ("album", "export", "Trip", "--format", "csv", "--to", "trip.csv"),
        ("copies", "--format", "sh", "--out", "copies.sh"),
    ]:
        Path(command[-1]).write_text("older")
        assert run(*command)[0] == 0
        assert Path(command[-1]).read_text() != "older"


def test_exports_go_into_no_library(run: Run, session: str) -> None:
    before = sorted(Path("library").iterdir())
    for folder in ("library", "library/vectors", "-"):
        code, _, err = run("export", "npy", "library", folder)
        assert (code, "error[bad_path]" in err or "error[in_library]" in err) == (1, True)
    assert sorted(Path("library").iterdir()) == before
    assert not Path("-").exists()


def test_a_journal_takes_no_file_of_others(tmp_path: Path, pictures: Path) -> None:
    for name, data in [("a.jpg", b"picture"), ("a.jsonl", b"a line without an end")]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError):
            Journal(tmp_path / name, lambda row: str(row["id"]))
        assert (tmp_path / name).read_bytes() == data


def test_the_old_package_keeps_a_screenshot_over_no_picture(tmp_path: Path, pictures: Path) -> None:
    target = Path(shutil.copy(pictures / "red.png", tmp_path / "mine.png"))
    before = target.read_bytes()
    with pytest.raises(InputError, match="never written over"):
        asyncio.run(search_by_image(str(pictures / "red.png"), target))
    assert target.read_bytes() == before
