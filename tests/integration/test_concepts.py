"""Concepts: what a session learnt, under a name: used, changed, merged, kept by an upgrade."""

import shlex
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from concept_parts import CORNER, learnt, library_of_bars, many_bars  # noqa: F401  (two are fixtures)
from session_parts import id_of
from upgrade_parts import NewEncoder

import relook
from relook.cli.main import main
from relook.core.errors import InputError, NotFoundError, QueryError
from relook.core.types import Box, Part, Query
from relook.encoders.base import Fingerprint
from relook.library.concept_table import ConceptTable
from relook.library.concept_values import ConceptChange, ExampleChange
from relook.library.restore import make_again
from relook.search.concept_fit import fitted_again
from relook.testing import ColourEncoder, patched, solid

# Names that a query reads as something else.
UNREADABLE = (
    "van -red",
    'van -"red car"',
    "van text:foo",
    "van — red",
    "van \u2212red",
    "van@0,0,1,1",
)


def test_a_concept_ranks_as_the_sessions_next_page_would(library: relook.Library) -> None:
    session = learnt(library)
    concept = library.concepts.save(session, "  Our   old van ")
    assert concept.name == "Our old van"
    assert (concept.n_relevant, concept.n_irrelevant) == (2, 1)
    page = library.search("@our OLD van", limit=8, fold=False)
    again = session.again(limit=8, keep_shown=True, keep_judged=True)
    assert [hit.image_id for hit in page] == [hit.image_id for hit in again]
    fresh = fitted_again(concept, library.files, library.engine.encoder, anew=True)
    np.testing.assert_allclose(fresh.vector, concept.vector, atol=1e-6)


def test_it_is_a_part_of_any_query_as_the_grammar_writes_it(library: relook.Library) -> None:
    library.concepts.save(learnt(library), "van")
    encoder = library.engine.encoder
    van = library.concepts.get("van").vector
    page = library.search("@van + 0.5:green", limit=3)
    assert page.query == Query((Part(concept="van"), Part(text="green", weight=0.5)))
    total = van + 0.5 * encoder.encode_texts(["green"])[0]
    ranking = library.engine.rank(total / np.linalg.norm(total), 3)
    assert [hit.image_id for hit in page] == ranking.image_ids.tolist()
    session = library.look("@van + green")
    assert session.row.name == "@van, green"
    assert len(session.again()) > 0


def test_a_name_that_nothing_has_and_a_bad_one_are_told(library: relook.Library) -> None:
    with pytest.raises(NotFoundError, match="no concept @truck") as error:
        library.search("@truck")
    assert "relook concept save" in error.value.hint
    library.concepts.save(learnt(library), "van")
    library.concepts.save(learnt(library), "van2")
    with pytest.raises(NotFoundError) as error:
        library.search("@van in snow")
    assert "@van" in error.value.hint
    with pytest.raises(QueryError, match="names no concept"):
        library.search("@ + red")
    for name in ("", "@", "a + b", "x" * 201, "a\x00b", *UNREADABLE):
        with pytest.raises(InputError) as bad:
            library.concepts.save(learnt(library), name)
        assert bad.value.code == "bad_name"
        with pytest.raises(InputError):
            library.concepts.change("van", ConceptChange(name=name))
        with pytest.raises(InputError):
            library.concepts.merge("van", "van2", name)
    for name in ("Ann's cat", "T-shirt", "16:9", "me@home", "50% off!"):
        library.concepts.save(learnt(library), name)
        assert len(library.search(f"@{name} + red")) > 0


def test_a_name_of_an_older_version_that_no_query_reads_can_be_mended(
    library: relook.Library,
) -> None:
    van = library.concepts.save(learnt(library), "van")
    examples = tuple(replace(example, example_id=0) for example in van.examples)
    for number, name in enumerate(UNREADABLE):
        older = replace(van, concept_id=0, name=name, examples=examples)
        ConceptTable(library.files.catalog).put(older)
        assert library.concepts.get(name).name == name
        library.concepts.change(name, ConceptChange(relevant_words="a van"))
        library.concepts.change(name, ConceptChange(name=f"van {number}"))
    assert len(library.concepts.all()) == 1 + len(UNREADABLE)


def test_what_to_type_next_is_quoted_for_a_shell(
    library: relook.Library, capsys: pytest.CaptureFixture[str]
) -> None:
    session = learnt(library)
    name, folder = "Ann's cat", str(library.folder)
    assert (
        main(["concept", "save", name, "--session", session.session_id, "--library", folder]) == 0
    )
    line = capsys.readouterr().out.partition("use it: ")[2]
    assert shlex.split(line) == ["relook", "search", "@Ann's cat + snow"]


def test_a_taken_name_and_a_session_that_learnt_nothing_lose_nothing(
    library: relook.Library,
) -> None:
    first = library.concepts.save(learnt(library), "van")
    with pytest.raises(InputError) as taken:
        library.concepts.save(learnt(library, "blue"), "VAN")
    assert taken.value.code == "name_taken"
    assert library.concepts.get("van").query == Query((Part(text="red"),))
    replaced = library.concepts.save(learnt(library, "blue"), "VAN", replaced=True)
    assert (replaced.concept_id, replaced.query) == (first.concept_id, Query((Part(text="blue"),)))
    bare = library.look("red")
    bare.judge(bare.page[0], relevant=False)
    with pytest.raises(InputError, match="only what does not fit is marked") as nothing:
        library.concepts.save(bare, "nothing")
    assert nothing.value.code == "nothing_learnt"
    assert len(bare.judgements) == 1
    bare.again(relevant_words="red stripe")
    assert library.concepts.save(bare, "by words").relevant_words == "red stripe"


def test_the_album_holds_what_fits_and_fills_itself(
    library: relook.Library, pictures: Path
) -> None:
    concept = library.concepts.save(learnt(library), "van")
    album = library.concepts.album("van", seen=True)
    names = {hit.path.name for hit in album.page}
    assert {"red0.png", "red1.png"} <= names
    assert not names & {"magenta3.png", "plain0.png", "more5.png"}
    assert (album.n_pictures, album.n_new, album.is_cut) == (len(names), 0, False)
    patched("white", "red", Box(0.0, 0.0, 0.9, 1.0), 96, 96).save(pictures / "new.png")
    solid("blue").save(pictures / "other.png")
    library.add(pictures)
    more = library.concepts.album("van")
    assert {hit.path.name for hit in more.page} - names == {"new.png"}
    assert more.n_new == 1
    (line,) = library.concepts.lines()
    assert (line.n_pictures, line.n_new) == (len(names) + 1, 1)
    assert library.concepts.album("van", limit=2).is_cut
    library.concepts.album("van", seen=True)
    assert library.concepts.lines()[0].n_new == 0
    assert library.concepts.get("van").changed_s == concept.changed_s  # looking changes nothing


def test_what_it_rests_on_is_changed_and_fitted_again(library: relook.Library) -> None:
    concept = library.concepts.save(learnt(library), "van")
    first, second, wrong = concept.examples
    change = ConceptChange(
        name="truck", examples=(ExampleChange(second.example_id, caption="wheel", weight=2.0),),
        without=(wrong.example_id,),
    )  # fmt: skip
    changed = library.concepts.change("van", change)
    assert [example.example_id for example in changed.examples] == [
        first.example_id, second.example_id,
    ]  # fmt: skip
    assert (changed.name, changed.examples[1].caption, changed.examples[1].weight) == (
        "truck", "wheel", 2.0,
    )  # fmt: skip
    assert not np.allclose(changed.vector, concept.vector)
    out = ConceptChange(without=(first.example_id, second.example_id))
    with pytest.raises(InputError) as nothing:
        library.concepts.change("truck", out)
    assert nothing.value.code == "nothing_learnt"
    with pytest.raises(NotFoundError) as missing:
        library.concepts.change("truck", ConceptChange(without=(999,)))
    assert missing.value.code == "no_example"
    assert len(library.concepts.get("truck").examples) == 2
    library.concepts.delete("truck")
    assert library.concepts.all() == []


def test_two_are_merged_and_what_either_shows_fits(library: relook.Library) -> None:
    van = library.concepts.save(learnt(library), "van")
    session = library.look("blue")
    session.judge(id_of(library, "magenta3.png"), relevant=True)
    session.judge(id_of(library, "magenta4.png"), relevant=True)
    library.concepts.save(session, "truck")
    both, notes = library.concepts.merge("van", "truck", "both")
    assert notes == ("examples that show one and not the other count as relevant: 1",)
    assert (both.n_relevant, both.n_irrelevant) == (4, 0)
    assert both.query == Query((Part(text="red"), Part(text="blue")))
    assert len(library.concepts.all()) == 3
    with pytest.raises(InputError) as taken:
        library.concepts.merge("van", "truck", "both")
    assert taken.value.code == "name_taken"
    with pytest.raises(InputError) as same:
        library.concepts.merge("van", "VAN", "twice")
    assert same.value.code == "same_concept"
    merged, _ = library.concepts.merge("van", "truck", "van")
    assert (merged.concept_id, len(library.concepts.all())) == (van.concept_id, 3)


def test_a_concept_saved_from_a_concept_rests_on_everything(library: relook.Library) -> None:
    library.concepts.save(learnt(library), "van")
    session = library.look("@van + green")
    session.judge(id_of(library, "red5.png"), relevant=True)
    deeper = library.concepts.save(session, "van", replaced=True)
    assert deeper.query == Query((Part(text="red"), Part(text="green")))
    assert (deeper.n_relevant, deeper.n_irrelevant) == (3, 1)


def test_a_picture_that_a_session_began_from_is_an_example(
    library: relook.Library, pictures: Path
) -> None:
    query = Query(
        (
            Part(image=pictures / "red2.png"),
            Part(image_id=id_of(library, "plain0.png"), weight=-0.5),
        )
    )
    session = library.look(query)
    session.judge(id_of(library, "red0.png"), relevant=True)
    concept = library.concepts.save(session, "from a picture")
    assert concept.query is None
    assert (concept.n_relevant, concept.n_irrelevant) == (2, 1)
    fresh = fitted_again(concept, library.files, library.engine.encoder, anew=True)
    assert fresh.vector is not concept.vector
    change = ConceptChange(relevant_words="red stripe")
    assert library.concepts.change("from a picture", change).vector is not None
    assert library.search("@from a picture")[0].path.name.startswith("red")


def test_it_survives_an_upgrade_and_pictures_that_are_away(
    library: relook.Library, pictures: Path
) -> None:
    session = learnt(library)
    session.judge(id_of(library, "red4.png"), relevant=True, box=CORNER)
    before = library.concepts.save(session, "van")
    (pictures / "red1.png").rename(pictures.parent / "red1.png")
    report = library.upgrade("new")
    assert (report.n_concepts, report.n_concepts_unread) == (1, 0)
    after = library.concepts.get("van")
    assert (after.vector.shape, len(after.examples)) == ((24,), 4)
    assert after.concept_id == before.concept_id
    page = library.search("@van", limit=5)
    assert page[0].path.name.startswith("red")
    assert any(note.startswith("1 of the 4 examples") for note in page.notes)
    (pictures.parent / "red1.png").rename(pictures / "red1.png")
    library.add(pictures)
    assert not [note for note in library.search("@van").notes if "examples" in note]
    digest = library.files.manifest.fingerprint.digest
    assert {example.encoder for example in library.concepts.get("van").examples} == {digest}


def test_an_album_whose_pictures_are_all_away_says_so_and_nothing_else(
    library: relook.Library, pictures: Path
) -> None:
    concept = library.concepts.save(learnt(library), "van")
    pictures.rename(pictures.parent / "elsewhere")
    library.add()
    album = library.concepts.album("van")
    assert not album.page.hits
    assert [note for note in album.page.notes if "are away" in note] == list(album.page.notes)
    (pictures.parent / "elsewhere").rename(pictures)
    library.add()
    shown = {hit.image_id for hit in library.concepts.album("van").page}
    assert {
        id_of(library, Path(each.path).name) for each in concept.examples if each.relevant
    } <= shown


def test_an_image_that_a_concept_names_keeps_its_id(
    library: relook.Library, pictures: Path
) -> None:
    concept = library.concepts.save(learnt(library), "van")
    image_id = id_of(library, "red0.png")
    library.look("red").delete()
    for row in library.sessions():
        library.session(row.session_id).delete()
    (pictures / "red0.png").rename(pictures.parent / "red0.png")
    library.add(pictures)
    assert len(library) == 39
    (pictures.parent / "red0.png").rename(pictures / "red0.png")
    library.add(pictures)
    assert id_of(library, "red0.png") == image_id == concept.examples[0].image_id


def test_a_session_whose_concept_is_gone_is_shown_and_says_why_it_goes_no_further(
    library: relook.Library,
) -> None:
    library.concepts.save(learnt(library), "van")
    begun = library.look("@van - red")
    library.concepts.delete("van")
    session = library.session(begun.session_id)
    assert len(session.page) > 0
    with pytest.raises(NotFoundError, match="no concept @van"):
        session.again()
    assert len(session.rounds) == 1


def test_a_library_that_may_not_be_written_is_searched_with_its_concepts(
    library: relook.Library,
) -> None:
    assert library.concepts.all() == []  # a library of before: reading makes no table
    tables = library.files.catalog.ask("SELECT name FROM sqlite_master WHERE name = 'concepts'")
    assert tables == []


def test_the_encoders_of_these_tests_differ() -> None:
    assert isinstance(NewEncoder().fingerprint, Fingerprint)
    assert NewEncoder().fingerprint.digest != ColourEncoder().fingerprint.digest


def test_a_damaged_catalog_is_saved_with_its_concepts_and_a_bad_example_costs_only_itself(
    library: relook.Library, tmp_path: Path
) -> None:
    library.concepts.save(learnt(library), "van")
    with library.files.catalog.transaction() as db:
        db.execute("UPDATE concept_examples SET box = 'no box' WHERE example_id = 2")
        db.execute("UPDATE concepts SET query = '{'")
    concept = library.concepts.get("van")
    assert (len(concept.examples), concept.query) == (2, None)
    assert len(concept.problems) == 2
    assert library.search("@van")[0].path.name.startswith("red")
    made = tmp_path / "new.sqlite3"
    make_again(tmp_path / "no backup", library.folder / "catalog.sqlite3", made)
    with closing(sqlite3.connect(made)) as db:
        counts = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                  for table in ("concepts", "concept_examples")]  # fmt: skip
    assert counts == [1, 3]
