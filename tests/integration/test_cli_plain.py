"""What commands say to people: empty results and why, labels, dates, flags in conflict."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli_parts import INDEX, Run, plugin, run  # noqa: F401

from relook.library.report import IndexReport


@pytest.fixture(autouse=True)
def library(plugin: None, pictures: Path, run: Run) -> None:
    """A blue, a green and a red picture."""
    run(*INDEX, pictures)


def test_an_empty_result_is_one_sentence_with_its_reason(run: Run) -> None:
    code, out, err = run("search", "red", "--path", "nowhere")
    assert (code, err) == (0, "")
    assert out == "Nothing was found: no picture fits path nowhere.\n"


def test_paths_alone_leave_the_reason_on_stderr(run: Run) -> None:
    why = "note: no picture has the field 'foo'; relook info --fields lists what there is\n"
    assert run("search", "red", "--files", "--where", "foo=1") == (0, "", why)
    run("album", "add", "trip", "--id", 1, "--id", 2)
    code, out, err = run("album", "show", "trip", "--files", "--limit", "1")
    assert (code, out.count("\n"), err) == (0, 1, "note: and 1 more (--limit)\n")


def test_a_picture_that_is_not_there_is_told_plainly(run: Run, tmp_path: Path) -> None:
    code, out, err = run("similar", str(tmp_path / "nofile.jpg"))
    assert (code, out) == (1, "")
    assert err.startswith(f"error[vanished]: there is no file '{tmp_path}/nofile.jpg'\nhint: ")


def test_two_ways_of_printing_are_refused(run: Run) -> None:
    for command in (("search", "red"), ("similar", "red.png")):
        code, out, err = run(*command, "--files", "--json")
        assert (code, err) == (2, "")
        assert "exclude each other" in json.loads(out)["error"]["message"]


@pytest.mark.parametrize(
    ("command", "message", "named"),
    [
        (["search", "red", "--colour"], "No such option: --colour", "relook search"),
        (["search", "red", "--limit", "0"], "Invalid value for '--limit'", "relook search"),
        (["nothing"], "No such command 'nothing'", "relook"),
        (["similar"], "Missing argument 'FILE'", "relook similar"),
        (["session", "show"], "Missing argument", "relook session show"),
        (["search", "red", "--where", "x"], "'x' is not KEY=VALUE", "relook search"),
    ],
)
def test_wrong_usage_with_json_is_an_error_object(
    run: Run, command: list[str], message: str, named: str
) -> None:
    code, out, err = run(*command, "--json")
    assert (code, err) == (2, "")
    error = json.loads(out)["error"]
    assert error["code"] == "bad_usage"
    assert message in error["message"]
    assert error["hint"] == f"{named} --help lists what there is"
    code, out, err = run(*command)
    assert (code, out) == (2, "")
    assert "Usage: relook" in err


def test_sessions_are_listed_with_their_dates(run: Run, tmp_path: Path) -> None:
    assert run("session", "list")[1] == "No sessions yet: relook look WORDS begins one.\n"
    run("look", "red", "--json")
    config = tmp_path / "own.toml"
    config.write_text("[search]\nlimit = 5\n")
    code, out, _ = run("session", "list", "--config", str(config))
    assert code == 0
    assert re.search(r"session\s+begun\s+name", out)
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d\s+red", out)


def test_info_has_labels_for_people(run: Run, tmp_path: Path) -> None:
    _, out, _ = run("info")
    lines = [line.split(maxsplit=1) for line in out.splitlines() if line.strip()]
    assert ["pictures", "3"] in [[name, value.strip()] for name, *rest in lines for value in rest]
    assert "n_images" not in out
    assert "['" not in out
    assert re.search(r"on disk\s+[\d.]+ MB", out)
    assert run("info", "--skipped")[1].endswith("No file was skipped.\n")


def test_rates_of_stages_are_told_when_asked(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from relook.cli.output import print_report
    from relook.core.progress import StageRate

    report = IndexReport(stages=(StageRate("read", 30, 3.0),), seconds=60.0)
    print_report(report)
    assert "stages" not in capsys.readouterr().err
    with caplog.at_level("INFO"):
        print_report(report)
    assert "stages: read" in capsys.readouterr().err
