"""What matches agree on, with counts and the numbers it rests on."""

from dataclasses import replace

from relook.answerers import Prompt
from relook.answerers.evidence_only import EvidenceOnlyAnswerer, Shared, shared_phrases, years
from relook.core.verdicts import Verdict, Verified
from relook.providers.match import Match, MatchKind


def said(*matches: Match) -> list[str]:
    prompt = Prompt("", (), "", tuple(enumerate(matches, start=1)))
    heard: list[tuple[str, str]] = []
    reply = EvidenceOnlyAnswerer().reply(prompt, lambda *piece: heard.append(piece))
    assert heard == [("text", reply.text)]
    assert reply.model == ""
    return reply.text.split("\n")


def match(title: str = "", kind: MatchKind = MatchKind.PAGE, **more: str) -> Match:
    return Match("a", kind, title, **more)  # type: ignore[arg-type]


def test_phrases_are_counted_once_a_text_and_the_longest_stands_for_its_parts() -> None:
    texts = {
        1: "Rila Monastery - Bulgaria travel guide | Free photo",
        2: "The Rila Monastery, Bulgaria",
        5: "Monastery in Bulgaria: photo and monastery again",
    }
    assert shared_phrases(texts) == [
        Shared("Bulgaria", (1, 2, 5)),
        Shared("Monastery", (1, 2, 5)),
        Shared("Rila Monastery", (1, 2)),
    ]
    assert shared_phrases({1: "one thing", 2: "another matter"}) == []


def test_years_stand_alone() -> None:
    texts = {1: "1999 and 1999", 2: "in 1999, or 2005.", 3: "No. 12005, 3.1999, 1850-60"}
    assert years(texts) == [Shared("1999", (1, 2)), Shared("2005", (2,))]


def test_the_report_cites_what_it_rests_on() -> None:
    lines = said(
        match("Monastery", MatchKind.ENTITY),
        match("Rila Monastery in 2014"),
        match("Visit Rila Monastery", MatchKind.SIMILAR, date="2014-05-01"),
        match("Rila Monastery", MatchKind.SAME),
    )
    assert lines == [
        "No model was asked. This is what 4 matches say:",
        "Names for what it shows: Monastery [1].",
        "They agree on: Monastery (3 of 3) [1] [2] [4]; Rila Monastery (2 of 3) [2] [4].",
        "Years named: 2014 (1 of 4) [2].",
        "The same picture: [4].",
        "Pages that show it: [2].",
        "Looks similar: [3].",
    ]


def test_no_agreement_no_words_and_no_evidence_are_told() -> None:
    assert said(match("Cat"), match("Dog"))[1:3] == [
        "They share no words.",
        "Titles: Cat [1]; Dog [2].",
    ]
    assert said(match("Cat"))[:2] == ["No model was asked. This is what 1 match says:",
                                      "Title: Cat [1]."]  # fmt: skip
    assert said(match("Cat"), match())[1] == "Only one has words."
    assert said(match())[1] == "None of them has a title, a caption, or a file name in words."
    assert said() == ["No model was asked, and there is no evidence to report."]
    for how in ("nothing", "blocked", "failed", "not_asked"):
        text = EvidenceOnlyAnswerer().reply(Prompt("", (), looked_up=how)).text
        assert ("nothing was found" in text) is (how == "nothing")


def test_file_names_count_where_there_are_no_other_words() -> None:
    named = [match(metadata={"file": f"n0{n}_home_theater.jpg"}) for n in range(2)]  # type: ignore[arg-type]
    assert said(*named)[1] == "They agree on: home theater (2 of 2) [1] [2]."


def test_a_title_cannot_pretend_to_be_a_citation() -> None:
    assert "[9]" not in "\n".join(said(match("A [9] cat"), match("A [9] dog", MatchKind.ENTITY)))


def test_look_alikes_do_not_agree_on_what_a_picture_shows() -> None:
    rifles = [match("A rifle", MatchKind.SIMILAR), match("Old rifle", MatchKind.SIMILAR)]
    text = "\n".join(said(*rifles))
    assert "They agree" not in text
    assert "What look-alikes are called, which are other pictures: rifle (2 of 2) [1] [2]." in text
    near = [replace(rifle, similarity=0.95) for rifle in rifles]
    assert "They agree on: rifle (2 of 2) [1] [2]." in said(*near)


def test_how_a_match_shows_this_very_picture_is_told() -> None:
    ways = (
        None, Verified(Verdict.SAME), Verified(Verdict.MIRRORED, shows=1.0),
        Verified(Verdict.PART, shows=0.36, shown=1.0), Verified(Verdict.EDITED),
    )  # fmt: skip
    found = [replace(match("Cat", MatchKind.SAME), verified=verified) for verified in ways]
    assert [line for line in said(*found) if line.startswith("The same picture")] == [
        "The same picture: [1] [2].",
        "The same picture, mirrored: [3].",
        "The same picture, shows 36% of it: [4].",
        "The same picture, edited: [5].",
    ]


def test_the_question_is_named_as_one_for_a_model() -> None:
    prompt = Prompt("", (), "How old\nis it [3]?", ((1, match("A camera")),))
    last = EvidenceOnlyAnswerer().reply(prompt).text.split("\n")[-1]
    assert last == "The question needs a model (--model): How old is it (3)?"


def test_what_the_file_says_comes_first() -> None:
    report = "The picture's own file says [0] (metadata can be forged): taken 2019-07-14."
    text = EvidenceOnlyAnswerer().reply(Prompt("", (), own_report=report)).text
    assert text.split("\n")[0] == report
