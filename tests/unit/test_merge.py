"""Merging: one page, one picture or one name is one group, and no title is lost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relook.providers.base import Outcome, ProviderResult
from relook.providers.match import Match, MatchKind
from relook.rag.merge import clean, merge, page_key
from relook.testing.providers import sample_subject

SUBJECT = sample_subject()
SAME, PAGE, SIMILAR, ENTITY = MatchKind


def result(name: str, *matches: Match) -> ProviderResult:
    ranked = tuple(replace(one, provider=name, rank=n) for n, one in enumerate(matches))
    return ProviderResult(name, Outcome.FOUND, ranked)


def page(title: str, url: str, **more: object) -> Match:
    return replace(Match("", PAGE, title, page_url=url), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://www.a.example/p/", "http://a.example/p"),
        ("https://a.example/p#part", "https://a.example/p"),
        ("https://a.example/p?b=2&a=1&utm_source=x", "https://a.example/p?a=1&b=2&gclid=7"),
        ("https://A.example:443/p", "https://a.example/p"),
    ],
)
def test_the_same_page_by_several_addresses(one: str, other: str) -> None:
    assert page_key(one) == page_key(other)
    (group,) = merge([result("x", page("One", one)), result("y", page("Two", other))], SUBJECT)
    assert [match.title for match in group] == ["One", "Two"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example/p?id=1", "https://a.example/p?id=2"),
        ("https://a.example/p", "https://a.example/P"),
        ("https://a.example:8080/p", "https://a.example/p"),
        ("https://a.example/", "https://b.example/"),
    ],
)
def test_different_pages_stay_apart(one: str, other: str) -> None:
    groups = merge([result("x", page("One", one), page("Two", other))], SUBJECT)
    assert len(groups) == 2


def test_the_same_picture_is_one_and_pages_that_show_it_are_several() -> None:
    hashed = 0x0123456789ABCDEF
    pictures = [Match("", SIMILAR, f"p{n}", picture_hash=hashed ^ n) for n in (0, 1, 3)]
    far = Match("", SIMILAR, "far", picture_hash=hashed ^ 0xFFFF)
    groups = merge([result("x", *pictures, far)], SUBJECT)
    assert [[match.title for match in group] for group in groups] == [["p0", "p1", "p3"], ["far"]]
    pages = [page(f"t{n}", f"https://{n}.example/", picture_hash=hashed) for n in range(3)]
    assert len(merge([result("x", *pages)], SUBJECT)) == 3


def test_plain_surfaces_are_not_the_same_picture() -> None:
    blank = [Match("", SIMILAR, f"p{n}", picture_hash=0) for n in range(2)]
    assert len(merge([result("x", *blank)], SUBJECT)) == 2


def test_a_look_alike_with_the_subjects_own_hash_is_the_same_picture() -> None:
    match = Match("", SIMILAR, "it", picture_hash=SUBJECT.picture_hash ^ 1)
    ((found,),) = merge([result("x", match)], SUBJECT)
    assert found.kind is SAME


def test_names_are_one_whatever_their_case() -> None:
    names = [Match("", ENTITY, "Eiffel Tower"), Match("", ENTITY, "eiffel tower")]
    ((first, second),) = merge([result("x", names[0]), result("y", names[1])], SUBJECT)
    assert (first.provider, second.provider) == ("x", "y")


def test_what_several_providers_return_rises() -> None:
    alone = [page(f"alone {n}", f"https://x.example/{n}") for n in range(3)]
    shared = page("shared", "https://shared.example/")
    groups = merge([result("x", *alone, shared), result("y", shared)], SUBJECT)
    assert groups[0][0].title == "shared"
    assert [group[0].title for group in groups[1:]] == ["alone 0", "alone 1", "alone 2"]


def test_telling_kinds_come_before_look_alikes_and_untitled_ones_last() -> None:
    matches = [
        Match("", SIMILAR, "alike", image_url="https://a.example/1.jpg"),
        Match("", SAME, "", image_url="https://a.example/2.jpg"),
        page("page", "https://a.example/p"),
        Match("", ENTITY, "name"),
    ]
    kinds = [group[0].kind for group in merge([result("x", *matches)], SUBJECT)]
    assert kinds == [PAGE, ENTITY, SIMILAR, SAME]


def test_strangers_text_and_addresses_are_cleaned() -> None:
    made = clean(
        Match(
            "x",
            SIMILAR,
            "<b>T</b>\x00",
            page_url="javascript:alert(1)",
            image_url=" https://a.example/1.jpg ",
            thumbnail_url="https://a.example/with space",
            metadata={f"k{n}": "<i>v</i>" for n in range(99)},
        )
    )
    assert made is not None
    assert (made.title, made.page_url, made.thumbnail_url) == ("T", "", "")
    assert made.image_url == "https://a.example/1.jpg"
    assert len(made.metadata) == 12
    assert set(made.metadata.values()) == {"v"}
    assert clean(Match("x", SIMILAR, "<b></b>", page_url="about:blank")) is None
    assert clean(Match("x", SIMILAR, image_id=3)) is not None


URLS = st.sampled_from([f"https://{host}.example/{n}" for host in "ab" for n in range(3)] + [""])
MATCHES = st.builds(
    Match,
    st.just("x"),
    st.sampled_from(MatchKind),
    st.sampled_from(["", "one", "two"]),
    page_url=URLS,
    image_url=URLS,
    picture_hash=st.sampled_from([None, 0, 0x0123456789ABCDEF, 0x0123456789ABCDEE]),
)


@given(st.lists(st.lists(MATCHES, max_size=5), max_size=3))
def test_laws(lists: list[list[Match]]) -> None:
    results = [result(f"p{n}", *matches) for n, matches in enumerate(lists)]
    groups = merge(results, SUBJECT)
    merged = [match for group in groups for match in group]
    useful = [m for one in results for m in one.matches if m.title or m.page_url or m.image_url]
    assert len(merged) == len(useful)
    for group in groups:
        assert group[0].title != "" or all(match.title == "" for match in group)
    assert merge(results, SUBJECT) == groups


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("http://a", True),
        (" https://a.example:8080/x?y=1&z#top ", True),
        ("HTTPS://A.EXAMPLE/", True),
        ("https://user@a.example/", True),
        ("https://m\u00fcnchen.example/stra\u00dfe", True),
        ("https://[::1]/", True),
        ("", False),
        ("https://", False),
        ("https:///path", False),
        ("https://?q", False),
        ("https://[::1", False),
        ("javascript:alert(1)//https://a.example", False),
        ("https://a.example/\u0000", False),
        ("https://a.example/a b", False),
        ("https://a.example/a\nb", False),
        ("https://a.example/\u202e", False),
        ("https://a.example/" + "x" * 2000, False),
        ("https://m\u00fcnchen.example/" + "x" * 2000, False),
    ],
)
def test_only_whole_web_addresses_are_kept(url: str, usable: bool) -> None:
    cleaned = clean(Match("p", MatchKind.PAGE, "title", page_url=url))
    assert cleaned is not None
    assert cleaned.page_url == (url.strip() if usable else "")
