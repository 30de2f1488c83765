"""A link of a page to another page of this repository leads to a file, and to a heading of it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("training/*.md")})
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in HEADING.findall(prose(page))
    }


def broken(page: Path) -> list[str]:
    dead = []
    for file, anchor in LINK.findall(prose(page)):
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(f"{page.relative_to(ROOT)}: {file}#{anchor}")
    return dead


def test_every_link_leads_somewhere() -> None:
    assert [link for page in PAGES for link in broken(page)] == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    page = ROOT / "docs" / "architecture.md"
    assert anchors(page) >= {"a-search-hop-by-hop", "what-to-touch"}
    assert sum(len(LINK.findall(prose(page))) for page in PAGES) > 100
