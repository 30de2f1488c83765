"""Words that are not read as they are: what else to ask, wherever a page is read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relook
from relook.cli.main import main
from relook.core.types import Part, Query
from relook.core.vectors import unit
from relook.search.grammar import line_of, parse_query, suggestion
from relook.search.transfer import export_session
from relook.search.vectorise import query_vector
from relook.testing.fakes import solid


@pytest.fixture(name="own", scope="module")
def of_the_built_in_encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[relook.Library]:
    folder = tmp_path_factory.mktemp("suggestions")
    for colour in ("red", "blue"):
        solid(colour).save(folder / f"{colour}.png")
    with relook.Library(folder / "library") as made:
        made.add(folder / "red.png", folder / "blue.png")
        yield made


def test_negated_words_are_offered_as_words_to_leave_out(own: relook.Library) -> None:
    page = own.search("a beach without people + 0.5:sea")
    (offered,) = page.suggestions
    assert (offered.kind, offered.label) == ("leave_out", "Leave out: people")
    assert offered.line == "a beach + 0.5:sea - people"
    assert offered.query == parse_query(offered.line)
    assert offered.note in page.notes
    assert "a beach - people" in offered.note
    assert own.search(offered.query).suggestions == ()


def test_what_looks_like_more_than_words_is_told(own: relook.Library) -> None:
    told = "'nan:dog' was searched for as words: a weight is a number"
    assert any(note.startswith(told) for note in own.search("nan:dog").notes)
    assert not any("as words" in note for note in own.search("nan:dog", grammar=False).notes)


def test_words_that_are_negated_are_never_embedded(own: relook.Library) -> None:
    """The page is that of what is left to look for, score by score."""
    for words, left in (("a beach without people", "a beach"), ("car not red", "car")):
        scores = [(hit.image_id, hit.score) for hit in own.search(words)]
        assert scores == [(hit.image_id, hit.score) for hit in own.search(left)]


def test_a_mistyped_word_is_offered_put_right_and_not_replaced(own: relook.Library) -> None:
    page = own.search("red bycicle - umbrela")
    assert [each.kind for each in page.suggestions] == ["did_you_mean"] * 2
    assert [each.line for each in page.suggestions] == [
        "red bicycle - umbrela",
        "red bycicle - umbrella",
    ]
    assert page.query.text == "red bycicle"


def test_the_word_that_was_surely_meant_is_searched_for_beside_a_mistyped_one(
    own: relook.Library,
) -> None:
    typed, meant = own.engine.encoder.encode_texts(["red bycicle", "red bicycle"])
    vector, notes = query_vector(parse_query("red bycicle"), own.engine.encoder, own.files)
    np.testing.assert_allclose(vector, unit(typed + 2 * meant), atol=1e-6)
    assert notes == ()
    assert own.look("red bycicle", limit=1).vector == pytest.approx(vector, abs=1e-6)


@pytest.mark.parametrize(
    ("words", "label", "asks"),
    [
        ("red bycicle", 'Search only for "red bicycle"', ""),
        ("red bycicle, no cars", 'Search only for "red bicycle, no cars"', ""),
        (
            "bycicle by a brige",
            'Did you mean "bicycle by a bridge"?',
            '. Did you mean "bicycle by a bridge"?',
        ),
    ],
)
def test_that_a_word_was_put_right_is_told_once(
    own: relook.Library, words: str, label: str, asks: str
) -> None:
    """Neither silently nor as a question whose answer the page already is."""
    begun = own.look(words, limit=1)
    for page in (own.search(words), begun.page, own.session(begun.session_id).page):
        (offered,) = [each for each in page.suggestions if each.kind == "did_you_mean"]
        assert offered.label == label
        assert f'beside "{words.removesuffix(", no cars")}", which looks mistyped' in offered.note
        assert offered.note.endswith(f"are taken as they are typed{asks}")
        assert [note for note in page.notes if "bicycle" in note] == [offered.note]


def test_a_mistyped_word_is_looked_up_once(
    own: relook.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes as long as the rest of a search, and a search and its pages ask several times."""
    looked_up: list[tuple[str, bool]] = []

    def counted(text: str, known: Any, *, is_sure: bool = False) -> str | None:
        looked_up.append((text, is_sure))
        return suggestion(text, known, is_sure=is_sure)

    monkeypatch.setattr("relook.search.suggestions.suggestion", counted)
    for _ in range(2):
        (offered,) = own.search("a kittne").suggestions
        assert offered.line == "a kitten"
    assert len(looked_up) == len(set(looked_up)) > 0


def test_what_is_not_searched_for_beside_is_a_question(own: relook.Library) -> None:
    (offered,) = own.search("red brige").suggestions
    assert offered.label == offered.note == 'Did you mean "red bridge"?'


@pytest.mark.parametrize("words", ['red "bycicle"', "red brige", "dgo", "- bycicle"])
def test_words_in_quotes_and_those_that_may_be_several_are_taken_as_they_are(
    own: relook.Library, words: str
) -> None:
    """What "dgo" or "brige" was meant to be is not sure, and left-out words act otherwise."""
    query = parse_query(words if words[0] != "-" else f"red {words}")
    vector, notes = query_vector(query, own.engine.encoder, own.files)
    plain = own.engine.encoder.encode_texts([(query.text or "").replace('"', "")])[0]
    np.testing.assert_allclose(vector, plain, atol=1e-6)
    assert notes == ()


LITERAL = 'a beach with no "pepole" - 0.5:snow @night text:stop'


def test_words_as_they_stand_are_the_models_own(own: relook.Library) -> None:
    plain = own.engine.encoder.encode_texts([LITERAL])[0]
    query = parse_query(LITERAL, grammar=False)
    vector, notes = query_vector(query, own.engine.encoder, own.files)
    np.testing.assert_array_equal(vector, plain)
    page = own.search(LITERAL, grammar=False)
    assert (page.query, page.suggestions, notes) == (query, (), ())
    with pytest.raises(relook.RelookError, match="text:"):
        own.search(LITERAL.removesuffix("stop") + '"stop')


def test_a_session_keeps_words_as_they_stand(own: relook.Library) -> None:
    begun = own.look(parse_query(LITERAL, grammar=False))
    plain = own.engine.encoder.encode_texts([LITERAL])[0]
    begun.judge(begun.page[0], relevant=True)
    begun.again()
    with relook.Library(own.folder) as later:  # which reads lines in the one-line language
        session = later.session(begun.session_id)
        np.testing.assert_allclose(session.vector, plain, atol=1e-6)
        file = own.folder.parent / "session.json"
        file.write_text(json.dumps(export_session(begun)))
        brought, _ = later.import_session(file)
        assert brought.query == session.query == begun.query


def test_another_language_names_the_command_for_models(own: relook.Library) -> None:
    (offered,) = own.search("ein Hund und eine Katze").suggestions
    assert (offered.kind, offered.line, offered.query) == ("other_model", "relook model list", None)
    assert own.search("a dog and a cat").suggestions == ()


def test_a_session_offers_them_on_its_first_page_whenever_it_is_opened(
    own: relook.Library,
) -> None:
    session = own.look("a beach without people")
    kept = session.page.suggestions
    assert [each.kind for each in kept] == ["leave_out"]
    session.judge(session.page[0], relevant=True)
    assert session.again().suggestions == ()
    session.undo()
    assert own.session(session.session_id).page.suggestions == kept


def test_the_command_line_prints_them_and_json_has_them(
    own: relook.Library, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["search", "a", "beach", "without", "people", "--library", str(own.folder)]
    assert main([*line, "--json"]) == 0
    (offered,) = json.loads(capsys.readouterr().out)["suggestions"]
    assert (offered["kind"], offered["line"]) == ("leave_out", "a beach - people")
    assert main(line) == 0
    assert "a beach - people" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    ["dog", "dog + snow - people", "0.5:dog + 2:@our old van - id:42", "id:42@0.1,0.2,0.5,0.9"],
)
def test_a_query_has_a_line_that_makes_it_again(line: str) -> None:
    assert parse_query(line_of(parse_query(line))) == parse_query(line)


def test_a_picture_file_has_a_line_too() -> None:
    query = Query((Part(image=Path("pool.jpg")), Part(text="night", weight=-1)))
    assert parse_query(line_of(query)) == query
