"""What a page says of its hits: fit, the line, nothing fits, words to leave out."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import skimage
from library_parts import many, names
from typer.testing import CliRunner

import relook
from relook.bench.fit_report import bench_fit
from relook.bench.query_files import Wanted
from relook.cli.main import command_line
from relook.core.errors import InputError, QueryError
from relook.core.settings import FeedbackSettings, SearchSettings
from relook.core.types import NOTHING_FITS, Box, Part, Query
from relook.encoders.builtin import BuiltinEncoder
from relook.search.explain import Change, changes
from relook.search.fit import FURTHER, FitScale, Level, LookedFor, fit_scale, n_leading
from relook.search.session_steps import ALL_SEEN
from relook.search.transfer import export_session
from relook.testing import ColourEncoder, patched, solid


@pytest.fixture
def photographs(open_library: Callable[..., relook.Library], tmp_path: Path) -> relook.Library:
    """The built-in encoder's library of ten pictures without anything on them."""
    many(tmp_path / "noise", 10)
    library = open_library(encoder=BuiltinEncoder(), search=SearchSettings(fold=False))
    library.add(tmp_path / "noise")
    return library


@pytest.fixture
def colours(library: relook.Library, tmp_path: Path) -> relook.Library:
    """Forty noisy pictures, two red and a blue one; the encoder has no map."""
    many(tmp_path / "pictures", 40)
    for name in ("red", "blue"):
        solid(name).save(tmp_path / "pictures" / f"{name}.png")
    solid("red", 40, 60).save(tmp_path / "pictures" / "crimson.png")
    library.add(tmp_path / "pictures")
    return library


def test_nothing_fits_words_that_the_model_cannot_read(photographs: relook.Library) -> None:
    """All of them are one vector, to which some pictures seemed to fit."""
    for words in ("\U0001f415", "\U0001f33b \U0001f30a", "q" * 120, "dog + \U0001f415"):
        page = photographs.search(words)
        assert (page.n_fitting, {hit.fit for hit in page}) == (0, {0.0})
        assert any("model can read nothing of" in note for note in page.notes)
        assert not photographs.search(words, min_fit=0.01).hits
    session = photographs.look("\U0001f415")
    assert session.page.n_fitting == 0
    assert any("can read nothing" in note for note in session.page.notes)


def test_words_that_are_not_read_leave_nothing_out(photographs: relook.Library) -> None:
    page = photographs.search("noise - \U0001f415 - dog")
    assert photographs.engine.unwanted(page.query) == ("dog",)
    assert any("it leaves nothing out" in note for note in page.notes)
    page = photographs.search("noise \U0001f415")
    assert "this library's model does not read: \U0001f415" in page.notes


def test_nothing_fits_is_told_in_a_small_library(photographs: relook.Library) -> None:
    page = photographs.search("asdfghjkl", limit=4)
    assert len(page) == 4
    assert page.n_fitting == 0
    assert page.notes[0] == NOTHING_FITS
    assert all(hit.fit is not None and hit.fit < 0.2 for hit in page)
    assert not photographs.search("asdfghjkl", min_fit=0.2).hits


def test_many_copies_of_one_picture_are_read_as_one(
    open_library: Callable[..., relook.Library], tmp_path: Path
) -> None:
    (tmp_path / "copies").mkdir()
    for at in range(40):
        solid("red").save(tmp_path / "copies" / f"{at}.png")
    library = open_library(encoder=BuiltinEncoder())
    library.add(tmp_path / "copies")
    page = library.search("an elephant in a kitchen")
    assert [len(hit.folded) for hit in page] == [39]
    assert page.n_fitting == 0


def test_what_fits_stands_before_the_line(colours: relook.Library) -> None:
    page = colours.search("red", limit=10)
    assert set(names(page)[:2]) == {"red.png", "crimson.png"}
    assert page.n_fitting == 2
    assert NOTHING_FITS not in page.notes
    enough = page[1].fit
    assert enough is not None
    assert set(names(colours.search("red", min_fit=enough))) == {"red.png", "crimson.png"}


@pytest.fixture
def mixed(open_library: Callable[..., relook.Library], tmp_path: Path) -> relook.Library:
    """Seven chequered pictures nearest to red and blue together, behind them three nearer to each.

    Behind these are forty noisy ones.
    """
    folder = tmp_path / "pictures"
    many(folder, 40)
    for number in range(7):
        image = solid("red")
        for square in range(128):
            row, at = divmod(square, 8)
            image.paste(solid("blue", 4, 4), (8 * at + 4 * (row % 2), 4 * row))
        image.putpixel((number, 0), (0, 0, 0))
        image.save(folder / f"chequered-{number}.png")
    for number in range(3):
        quarter = patched("red", "blue", Box(0.5, 0.5, 1, 1), 64 + 2 * number, 64 + 2 * number)
        quarter.save(folder / f"quarter-{number}.png")
    library = open_library(search=SearchSettings(fold=False))
    library.add(folder)
    return library


def test_where_the_line_stands_does_not_depend_on_how_many_hits_are_asked_for(
    mixed: relook.Library, tmp_path: Path
) -> None:
    every = mixed.search("red + blue", limit=50)
    fits = [hit.fit or 0.0 for hit in every]
    assert max(fits[:7]) < 0.1 < min(fits[7:10]), "the best two parts stand eighth to tenth"
    assert every.n_fitting == 10
    for limit in (1, 5, 7, 8, 10, 11, 30):
        page = mixed.search("red + blue", limit=limit)
        assert [hit.image_id for hit in page] == [hit.image_id for hit in every[:limit]]
        assert page.n_fitting == min(limit, 10)
        assert NOTHING_FITS not in page.notes
        session = mixed.look("red + blue", limit=limit)
        assert session.first_page == session.page
        assert session.page.n_fitting == min(limit, 10)
        again = session.again("none", keep_shown=True, limit=limit)
        assert again.n_fitting == min(limit, 10)
    session = mixed.look("red + blue", limit=5)
    (tmp_path / "kept.json").write_text(json.dumps(export_session(session)), "utf-8")
    twin, _ = mixed.import_session(tmp_path / "kept.json")
    assert twin.page == replace(session.page, session_id=twin.session_id)
    assert session.replay().same


def test_nothing_is_looked_at_behind_a_page_of_pictures_that_do_not_fit(
    mixed: relook.Library,
) -> None:
    """The last of a thousand hits that fits by chance takes no line with it."""
    page = mixed.search("red + blue", limit=50)
    far = [*page, *(page[-1] for _ in range(FURTHER)), replace(page[0], fit=0.9)]
    assert n_leading(far, 0.1, 0.1) == 10
    assert n_leading([*page[:10], *page[11:30], replace(page[0], fit=0.9)], 0.1, 0.1) == 30


@pytest.mark.parametrize("words", ["red", "red - blue", "red without people", "rot am Strand"])
def test_the_page_that_begins_a_session_is_the_one_that_is_read_back(
    colours: relook.Library, words: str
) -> None:
    """A server answers with the first one."""
    session = colours.look(words, limit=10)
    page = session.first_page
    assert page is not None
    assert page == session.page
    assert colours.session(session.session_id).first_page is None


def test_a_session_says_the_same_on_each_page(colours: relook.Library) -> None:
    session = colours.look("red", limit=10)
    assert session.page.n_fitting == 2
    assert [hit.fit for hit in session.page] == [hit.fit for hit in colours.search("red", limit=10)]
    session.judge(session.page[0], relevant=True)
    later = session.again("none", keep_shown=True, keep_judged=True)
    assert later.n_fitting == 2


def test_what_fits_stays_on_the_next_page_and_what_is_judged_or_does_not_leaves(
    colours: relook.Library, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    patched("black", "red", Box(0, 0, 0.45, 1), 64, 64).save(folder / "rose.png")
    colours.add(folder)
    session = colours.look(Query((Part(image=folder / "red.png"),)), limit=6)
    first = [hit.image_id for hit in session.page]
    by_name = {hit.path.name: hit.image_id for hit in session.page}
    marked, alike, other = by_name["rose.png"], first[0], first[5]
    assert marked not in (alike, other)
    session.judge(marked, relevant=True)
    session.judge(other, relevant=False)
    shown = [hit.image_id for hit in session.again("rocchio")]
    assert alike in shown[:2], "it fits better than what was marked, and nobody judged it"
    reds = {by_name["red.png"], by_name["crimson.png"]}
    assert set(first) & set(shown) == reds, "the rest is judged, or seen and of no use"
    moved = changes(session)
    assert list(moved) == shown
    at = shown.index(alike) + 1
    assert moved[alike] == Change(at, at), "before and after leave out the same pictures"
    session.undo()
    assert alike not in [hit.image_id for hit in session.again("rocchio", keep_shown=False)]
    session.undo()
    everything = session.again("rocchio", keep_shown=True, limit=60)
    assert set(first) - {marked, other} <= {hit.image_id for hit in everything}


def test_nothing_is_shown_twice_before_there_is_anything_to_learn_from(
    colours: relook.Library,
) -> None:
    session = colours.look("red", limit=4)
    first = {hit.image_id for hit in session.page}
    assert not first & {hit.image_id for hit in session.again()}
    plain = relook.Library(colours.folder, feedback=FeedbackSettings(keep_fitting=False),
                           encoder=ColourEncoder())  # fmt: skip
    with plain:
        other = plain.session(session.session_id)
        other.go(0)
        other.judge(other.page[0], relevant=True)
        assert not first & {hit.image_id for hit in other.again("rocchio")}


def test_pictures_that_show_what_is_left_out_go_and_the_others_keep_their_order(
    colours: relook.Library,
) -> None:
    plain = names(colours.search("white", limit=100))
    kept = names(colours.search("white - red", limit=100))
    assert set(plain) - set(kept) == {"red.png", "crimson.png"}
    assert kept == [name for name in plain if name not in ("red.png", "crimson.png")]
    session = colours.look("white - red", limit=5)
    assert not {"red.png", "crimson.png"} & set(names(session.again("none", limit=100)))


def test_a_picture_as_query_has_no_fit(colours: relook.Library, tmp_path: Path) -> None:
    page = colours.similar(tmp_path / "pictures" / "red.png")
    assert page.n_fitting is None
    assert page[0].fit is None
    with pytest.raises(InputError) as raised:
        colours.search("", images=[tmp_path / "pictures" / "red.png"], min_fit=0.5)
    assert raised.value.code == "no_fit"


def test_a_least_fit_holds_for_each_page_of_a_session_and_for_its_export(
    colours: relook.Library, tmp_path: Path
) -> None:
    fits = {hit.path.name: hit.fit for hit in colours.search("red", limit=100)}
    enough = fits["crimson.png"]
    assert enough is not None
    session = colours.look("red", min_fit=min(enough, fits["red.png"] or 0))
    assert set(names(session.page)) == {"red.png", "crimson.png"}
    session.judge(session.page[0], relevant=True)
    later = session.again("rocchio", keep_shown=True, keep_judged=True, limit=50)
    assert set(names(later)) == {"red.png", "crimson.png"}
    assert session.replay().same
    nothing_left = session.again("rocchio", keep_shown=False)
    assert not nothing_left.hits
    assert any("no other picture has a fit of" in note for note in nothing_left.notes)
    everything = colours.look("red", limit=100)
    assert not everything.again("rocchio").hits
    assert ALL_SEEN in everything.page.notes
    (tmp_path / "kept.json").write_text(json.dumps(export_session(session)), "utf-8")
    twin, _ = colours.import_session(tmp_path / "kept.json")
    assert twin.keeps_to.min_fit == session.keeps_to.min_fit > 0
    assert "green.png" not in names(twin.again("rocchio", keep_shown=True, limit=50))


def test_pictures_of_lower_rank_that_fit_all_parts_are_found(colours: relook.Library) -> None:
    every = colours.search("red + blue", limit=100)
    least = sorted(hit.fit or 0 for hit in every)[-5]
    wanted = {hit.image_id for hit in every if (hit.fit or 0) >= least}
    found = colours.search("red + blue", limit=len(wanted), min_fit=least)
    assert {hit.image_id for hit in found} == wanted, "the page is full, whatever its order"


def test_a_session_of_a_picture_has_no_least_fit(colours: relook.Library, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        colours.look(Query((Part(image=tmp_path / "pictures" / "red.png"),)), min_fit=0.5)
    assert raised.value.code == "no_fit"
    assert not colours.sessions(), "nothing is kept of it"


@pytest.mark.parametrize("least", [-0.1, 1.5, float("nan")])
def test_a_least_fit_is_a_probability(colours: relook.Library, least: float) -> None:
    with pytest.raises(InputError) as raised:
        colours.search("red", min_fit=least)
    assert raised.value.code == "bad_min_fit"


def test_negated_words_are_never_encoded(photographs: relook.Library) -> None:
    page = photographs.search("a beach without people")
    assert [hit.score for hit in page] == [hit.score for hit in photographs.search("a beach")]
    assert any("type: a beach - people" in note for note in page.notes)
    with pytest.raises(QueryError) as raised:
        photographs.search("no cars")
    assert raised.value.code == "only_negative"


def test_words_are_suggested_and_not_replaced(photographs: relook.Library) -> None:
    page = photographs.search("bycicle")
    assert [note for note in page.notes if "bicycle" in note] == [page.suggestions[0].note]
    assert page.query.text == "bycicle"
    assert page[0].score != photographs.search("bicycle")[0].score


def test_the_bench_takes_pictures_out(colours: relook.Library) -> None:
    wanted = [Wanted("red", ("red.png", "crimson.png")), Wanted("blue", ("blue.png",))]
    report = bench_fit(colours.engine, wanted, absent=["white"])
    assert report.told_with == 0.0
    assert report.told_without == 1.0
    assert (report.n_queries, report.n_absent, report.n_images) == (2, 1, 43)
    assert sum(one.n for one in report.bins) == 80
    (part,) = report.parts
    assert (part.n_images, part.n_with + part.n_without) == (30, 6)
    assert (part.told_with, part.told_without) == (0.0, 1.0)
    with pytest.raises(InputError):
        bench_fit(colours.engine, [Wanted("red", ("elsewhere.png",))])


def test_the_command_line_says_it(photographs: relook.Library) -> None:
    shown = CliRunner().invoke(
        command_line(), ["search", "asdfghjkl", "-l", str(photographs.folder)]
    )
    assert shown.stdout.startswith(NOTHING_FITS)
    asked = ["search", "asdfghjkl", "-l", str(photographs.folder), "--json"]
    values = json.loads(CliRunner().invoke(command_line(), asked).stdout)
    assert values["n_fitting"] == 0
    assert 0 <= values["hits"][0]["fit"] < 0.2


def test_the_line_is_that_of_the_images_that_are_searched(
    photographs: relook.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, plain = [], FitScale.line

    def line(scale: FitScale, wanted: LookedFor | None, level: Level | None = None) -> float:
        seen.append(scale.n_images)
        return plain(scale, wanted, level)

    monkeypatch.setattr(FitScale, "line", line)
    photographs.search("a harp")
    photographs.search("a harp", path="*1.png")
    session = photographs.look("a harp", path="*1.png")
    assert session.page.n_fitting == 0
    assert seen[:4] == [10, 1000, 1, 1000]
    assert set(seen[4:]) == {1, 1000}
    # What pictures show does not change how many were looked through, and a session counts alike.
    seen.clear()
    photographs.search("a harp - people")
    photographs.search("a harp", min_fit=0.01)
    photographs.look("a harp - people", min_fit=0.01)
    assert set(seen) == {10, 1000}


def test_copies_are_no_more_images_that_are_searched(
    photographs: relook.Library, tmp_path: Path
) -> None:
    whole = next((tmp_path / "noise").iterdir()).read_bytes()
    for number in range(20):
        (tmp_path / "noise" / f"copy-{number}.png").write_bytes(whole)
    photographs.add(tmp_path / "noise")
    assert len(photographs) == 30
    assert fit_scale(photographs.files, photographs.engine.encoder).n_images == 10


def test_few_photographs_hold_what_they_show(
    open_library: Callable[..., relook.Library],
) -> None:
    """Held to the line of a thousand pictures, coins and the page would be "no close match"."""
    library = open_library(encoder=BuiltinEncoder())
    folder = Path(skimage.__file__).parent / "data"
    names = ("rocket.jpg", "coins.png", "coffee.png", "astronaut.png", "page.png", "moon.png")
    library.add(*(folder / name for name in names))
    for words in ("rocket", "coins", "a cup of coffee", "printed text"):
        page = library.search(words)
        assert page.n_fitting is not None
        assert page.n_fitting > 0
        assert page.notes == ()
    for words in ("a giraffe", "invoice", "elephant on the moon", "asdfghjkl"):
        page = library.search(words)
        assert (page.n_fitting, page.notes[0]) == (0, NOTHING_FITS)
