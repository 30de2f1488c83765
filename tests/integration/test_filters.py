"""Filters compare times, numbers and places, and say why nothing fits."""

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import relook
from relook.cli.main import command_line, main
from relook.cli.options import pairs
from relook.core.errors import InputError
from relook.testing import noise

FACTS = {
    "paris": {"taken_at": "2019-07-14T12:30:00+02:00", "latitude": 48.8584, "longitude": 2.2945,
              "rating": 5, "camera": "Canon EOS R5"},
    "louvre": {"taken_at": "2019-08-01T09:00:00", "latitude": 48.8606, "longitude": 2.3376,
               "rating": 3, "camera": "Pixel 7"},
    "fiji": {"taken_at": "2021", "latitude": -17.7, "longitude": 179.99, "rating": "4"},
    "old": {"taken_at": "2018:12:31 23:59:59"},
    "bare": {},
}  # fmt: skip


@pytest.fixture
def library(library: relook.Library, tmp_path: Path) -> relook.Library:
    """Five pictures with facts; the file of `bare` is of 2015."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(FACTS):
        noise(number).save(folder / f"{name}.png")
    os.utime(folder / "bare.png", times=(datetime(2015, 5, 5, tzinfo=UTC).timestamp(),) * 2)
    rows = [json.dumps({"path": f"{name}.png", **facts}) for name, facts in FACTS.items()]
    (folder / "facts.jsonl").write_text("\n".join(rows))
    library.add(folder, metadata=[folder / "facts.jsonl"])
    return library


def fitting(library: relook.Library, **where: str) -> set[str]:
    page = library.search("red", limit=50, where=where)
    return {hit.path.stem for hit in page}


@pytest.mark.parametrize(
    ("key", "value", "names"),
    [
        ("taken_at>=", "2019-07", {"paris", "louvre", "fiji"}),
        ("taken_at<", "2019-07", {"old", "bare"}),
        ("taken_at<=", "2019-07", {"old", "bare", "paris"}),
        ("taken_at>", "2019", {"fiji"}),
        ("taken_at", "2019-07*", {"paris"}),
        ("rating>=", "4", {"paris", "fiji"}),
        ("rating<", "4", {"louvre"}),
        ("camera!=", "*pixel*", {"paris", "fiji", "old", "bare"}),
        ("place~", "48.85,2.35,5km", {"paris", "louvre"}),
        ("place~", "48.8606, 2.3376, 500 m", {"louvre"}),
        ("place~", "-17.7,-179.99,5km", {"fiji"}),
    ],
)
def test_a_filter_that_compares(
    library: relook.Library, key: str, value: str, names: set[str]
) -> None:
    assert fitting(library, **{key: value}) == names


@pytest.mark.parametrize("key", ["title", "album", "camera", "keywords", "keywords!=", "x"])
def test_what_is_too_long_to_compare_is_no_damage(library: relook.Library, key: str) -> None:
    """SQLite refuses patterns above 50,000 bytes, which was told as a damaged catalog."""
    long = "x" * 60_000
    for filters in ({"where": {key: long}}, {"path": long}, {"where": {long: "x"}}):
        with pytest.raises(InputError) as raised:
            library.search("red", **filters)
        assert raised.value.code == "bad_filter"
        assert len(str(raised.value)) < 300
    assert fitting(library, title="x" * 300) == set()
    with pytest.raises(InputError):
        library.search("red", where={f"field{n}": "*" for n in range(2000)})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("taken_at>=", "July"), ("rating>=", "good"), ("place~", "Paris"), ("place~", "95,0,5km"),
        ("place~", "48,2"), (">=", "4"), ("rating>=", "nan"),
    ],
)  # fmt: skip
def test_a_filter_that_compares_nothing(library: relook.Library, key: str, value: str) -> None:
    with pytest.raises(InputError) as raised:
        fitting(library, **{key: value})

    assert raised.value.code == "bad_filter"


@pytest.mark.parametrize(
    ("where", "path", "reason"),
    [
        ({"colour": "red"}, None, "no picture has the field 'colour'"),
        ({"rating>=": "9"}, None, "no picture fits rating>=9"),
        ({"camera": "Leica"}, None, "no picture fits camera=Leica"),
        ({"rating": "5", "camera": "Pixel*"}, None, "no picture fits all filters together"),
        ({}, "nowhere", "no picture fits path nowhere"),
        ({"place~": "0,0,1km"}, None, "no picture fits place near 0,0,1km"),
    ],
)
def test_why_nothing_fits(
    library: relook.Library, where: dict[str, str], path: str | None, reason: str
) -> None:
    page = library.search("red", where=where, path=path)

    assert not page.hits
    assert reason in page.notes[0]


def test_an_empty_library_says_so(open_library, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    library = open_library()
    library.add(tmp_path / "none")

    assert "no pictures yet" in library.search("red").notes[0]


def test_the_commands_options(library: relook.Library) -> None:
    def fitting_by(**options: object) -> set[str]:
        return fitting(library, **pairs(options.pop("where", None), **options))

    assert fitting_by(after="2019-07", before="2019-08") == {"paris"}
    assert fitting_by(near="48.86,2.34,2km") == {"louvre"}
    assert fitting_by(camera="canon") == {"paris"}
    assert fitting_by(where=["rating>=4", "camera=Canon*"]) == {"paris"}
    assert fitting_by(where=["rating<=3"]) == {"louvre"}
    with pytest.raises(typer.BadParameter):
        pairs(["rating"])


@pytest.mark.parametrize("option", ["album", "after", "before", "near", "camera", "path"])
def test_an_option_without_a_value_is_not_left_out_silently(
    library: relook.Library, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a script's variable that is not set; every picture would be found."""
    for value in ("", "  "):
        code = main(["search", "red", "--library", str(library.folder), f"--{option}", value])
        told = capsys.readouterr().err
        assert code == 1
        assert f"error[bad_filter]: --{option} is there without a value" in told
    with pytest.raises(InputError):
        library.search("red", path="")
    with pytest.raises(InputError):
        library.overview.browse(path="")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("rating=>4", "rating>=4"), ("taken_at=<2019-07", "taken_at<=2019-07"),
     ("rating==4", "rating=4")],
)  # fmt: skip
def test_an_operator_that_is_turned_round_is_told(typed: str, meant: str) -> None:
    with pytest.raises(InputError) as raised:
        pairs([typed])
    assert (raised.value.code, raised.value.hint) == ("bad_filter", f"write {meant}")
    assert pairs(["title=<b>"]) == {"title": "<b>"}


def test_programs_may_give_numbers_and_dates(library: relook.Library) -> None:
    for where, names in (
        ({"rating>=": 4}, {"paris", "fiji"}),
        ({"rating<": 3.5}, {"louvre"}),
        ({"taken_at>=": date(2019, 7, 14)}, {"paris", "louvre", "fiji"}),
        ({"taken_at>": datetime(2019, 7, 14, 13)}, {"louvre", "fiji"}),
    ):
        assert {hit.path.stem for hit in library.search("red", where=where)} == names
        assert library.overview.browse(where).n_images == len(names)
    for value in (None, True, ["4"]):
        for ask in (library.search, library.look):
            with pytest.raises(InputError) as raised:
                ask("red", where={"rating": value})
            assert raised.value.code == "bad_filter"


def test_a_least_fit_is_a_number(library: relook.Library) -> None:
    for least in (None, "0.5"):
        with pytest.raises(InputError) as raised:
            library.search("red", min_fit=least)
        assert raised.value.code == "bad_min_fit"


@pytest.mark.parametrize("command", ["search", "similar"])
def test_the_commands_take_them(command: str) -> None:
    shown = CliRunner().invoke(command_line(), [command, "--help"], env={"COLUMNS": "200"}).stdout

    for option in ("--after", "--before", "--near", "--camera", "--where"):
        assert option in shown


def test_info_lists_the_fields(library: relook.Library) -> None:
    arguments = ["info", "--library", str(library.folder), "--fields"]
    shown = CliRunner().invoke(command_line(), arguments).stdout
    fields = json.loads(CliRunner().invoke(command_line(), [*arguments, "--json"]).stdout)["fields"]

    assert "taken_at" in shown
    assert {field["key"]: field["n"] for field in fields}["rating"] == 3


def test_dates_of_files_are_told(library: relook.Library) -> None:
    of_files = library.search("red", where={"taken_at<": "2016"})
    own = library.search("red", where={"taken_at>=": "2021"})

    assert of_files.notes == ("1 of these say no time of their own: the date of the file counts",)
    assert own.notes == ()


def test_what_was_shown_before_is_no_reason(library: relook.Library) -> None:
    session = library.look("red", where={"rating>=": "1", "camera": "*"}, limit=50)
    for hit in session.page:
        session.judge(hit, relevant=True)

    assert not any("no picture" in note for note in session.again().notes)
