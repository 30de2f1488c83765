"""A session's log runs again exactly, and logs are scored by time and wrong submissions."""

import json
from pathlib import Path

import pytest
from session_parts import bars, ids, library_of_bars, make_session  # noqa: F401  (two are fixtures)

import relook
from relook.cli.main import main
from relook.search.session_replay import replay_file
from relook.search.transfer import export_session
from relook.testing.fakes import ColourEncoder, solid


def file_of(session: relook.search.session.Session, folder: Path, name: str = "log.json") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(json.dumps(export_session(session)))
    return file


def test_every_round_is_made_again_from_what_led_to_it(library: relook.Library) -> None:
    """Branches, boxes, words, what may be shown again: and marks that wait change nothing."""
    session = make_session(library)
    session.judge(1, relevant=True)
    session.again("rocchio", limit=3, keep_shown=True, keep_judged=True, irrelevant_words="green")
    session.judge(5, relevant=False)  # it waits
    before = export_session(session)
    made = session.replay()
    assert made.same, made
    assert [each.number for each in made.rounds] == [0, 1, 2, 3]
    assert [each.n_hits for each in made.rounds] == [len(row.hits) for row in session.rounds]
    assert export_session(session) == before


def test_what_was_asked_for_a_page_is_kept_with_it(library: relook.Library) -> None:
    """A page that showed everything again is not the page that leaves out what was shown."""
    session = library.look("red", limit=3)
    session.judge(2, relevant=True)
    page = session.again("rocchio", limit=3, keep_shown=True, keep_judged=True)
    assert set(ids(page)) & set(ids(session.round_at(0)[1]))
    assert session.round.record["keep_shown"] is True
    assert session.replay().same


def test_a_page_of_another_library_is_told(library: relook.Library, tmp_path: Path) -> None:
    """A picture that came since is first now: the round that it changes is named, and its hit."""
    session = library.look("red", limit=2)
    solid("red").save(tmp_path / "pictures" / "new.png")
    library.add()
    made = session.replay()
    assert not made.same
    assert made.rounds[0].differs_at == 1
    assert made.rounds[0].problem == ""


def test_a_mark_that_was_changed_since_makes_another_page(library: relook.Library) -> None:
    session = library.look("red", limit=2)
    mark = session.judge(2, relevant=True)
    session.again("rocchio")
    session.revise(mark.judgement_id, relevant=False)
    first, second = session.replay().rounds
    assert first.same
    assert not second.same


def test_a_file_is_run_again_and_kept_nowhere(
    library: relook.Library, tmp_path: Path, pictures: Path
) -> None:
    """In a library with other ids, as in its own; both have the sessions that they had."""
    file = file_of(make_session(library), tmp_path)
    n_sessions = len(library.sessions())
    made = replay_file(library.engine, file, library.session_limits, library.feedback)
    assert made.same
    assert len(made.rounds) == 3
    assert len(library.sessions()) == n_sessions
    with relook.Library(tmp_path / "other", encoder=ColourEncoder()) as other:
        solid("white").save(tmp_path / "0.png")
        other.add(tmp_path / "0.png")
        other.add(pictures)
        other.forget(tmp_path / "0.png")
        assert replay_file(other.engine, file, other.session_limits, other.feedback).same
        assert other.sessions() == []


def test_times_are_kept_exported_and_taken_along(library: relook.Library, tmp_path: Path) -> None:
    """When pages and marks were made: the same here, in the file, and after an import."""
    session = library.look("red", limit=3)
    mark = session.judge(2, relevant=True)
    session.again("rocchio", limit=2)
    assert mark.made_s is not None
    row = session.round
    assert row.made_s is not None
    assert row.made_s >= mark.made_s >= session.row.created_s
    values = export_session(session)
    assert values["judgements"][0]["made_s"] == mark.made_s
    assert values["rounds"][1]["made_s"] == row.made_s
    again = library.session(session.session_id)
    assert again.all_judgements[0].made_s == mark.made_s
    taken, _ = library.import_session(file_of(session, tmp_path))
    assert taken.all_judgements[0].made_s == mark.made_s
    assert [one.made_s for one in taken.rounds] == [one.made_s for one in session.rounds]


def test_a_catalog_of_before_has_marks_without_times(library: relook.Library) -> None:
    session = library.look("red", limit=3)
    session.judge(2, relevant=True)
    with library.files.catalog.transaction() as db:
        db.execute("DROP TABLE mark_times")
    assert [mark.made_s for mark in session.all_judgements] == [None]
    session.remove(session.all_judgements[0].judgement_id)
    assert session.all_judgements == []
    session.delete()


@pytest.fixture(name="tasks")
def tasks_file(tmp_path: Path) -> Path:
    file = tmp_path / "tasks.jsonl"
    tasks = [
        {"query": "to share", "relevant": ["1.png", "2.png"]},
        {"query": "one", "relevant": ["4.png"]},
    ]
    file.write_text("".join(json.dumps(each) + "\n" for each in tasks))
    return file


def test_the_command_runs_a_session_and_a_file_again(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0 while pages are the same; 1, and which one, after a picture came."""
    where = ["--library", str(tmp_path / "own")]
    with relook.Library(tmp_path / "own") as own:
        own.add(pictures)
        session = own.look("red", limit=2)
        session.judge(session.page[0], relevant=True)
        session.again()
        file = file_of(session, tmp_path)
    for log in (session.session_id, str(file)):
        assert main(["session", "replay", log, *where]) == 0
        assert capsys.readouterr().out.count("the same page") == 2
    solid("red").save(pictures / "new.png")
    assert main(["index", str(pictures), *where]) == 0
    capsys.readouterr()
    assert main(["session", "replay", session.session_id, *where, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["same"] is False
    assert [each["same"] for each in told["rounds"]].count(False) >= 1


def test_logs_are_scored_and_people_compared(
    library: relook.Library, tmp_path: Path, tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two right ones of two, and one that is wrong: 100 x 2 / 2.5 x 2 / 2 points."""
    session = library.look("red", limit=3, name="to share")
    session.judge(1, relevant=True)
    session.judge(2, relevant=True)
    session.judge(3, relevant=True)
    session.judge(4, relevant=False)
    file_of(session, tmp_path / "ann")
    lost = library.look("red", limit=3, name="one")
    lost.judge(1, relevant=True)
    file_of(lost, tmp_path / "agent")
    stray = library.look("blue", limit=3, name="something else")
    file_of(stray, tmp_path / "agent", "stray.json")
    folders = [str(tmp_path / "ann"), str(tmp_path / "agent")]
    assert main(["bench", "replay", *folders, "--queries", str(tasks), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(each["who"], each["n_searches"], each["score"]) for each in told["standings"]] == [
        ("ann", 1, 80.0),
        ("agent", 1, 0.0),
    ]
    assert [each["n_wrong"] for each in told["searches"]] == [1, 1]
    assert len(told["notes"]) == 1
    assert "something else" in told["notes"][0]


def test_logs_without_times_and_no_logs_are_told(
    library: relook.Library, tmp_path: Path, tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = library.look("red", limit=3, name="one")
    values = export_session(session)
    for row in values["rounds"]:
        del row["made_s"]
    old = tmp_path / "old.json"
    old.write_text(json.dumps(values))
    assert main(["bench", "replay", str(old), "--queries", str(tasks), "--json"]) == 0
    assert "no times" in json.loads(capsys.readouterr().out)["notes"][0]
    (tmp_path / "empty").mkdir()
    assert main(["bench", "replay", str(tmp_path / "empty"), "--queries", str(tasks)]) == 1
    assert "no_logs" in capsys.readouterr().err
    assert main(["bench", "replay", "--queries", str(tasks)]) == 2
