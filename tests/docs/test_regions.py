"""Blocks that say which file they are from are parts of that file, but for white space.

The formatter breaks a line of a page's block elsewhere, because it stands less far in.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REGION = re.compile(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


def regions() -> list:
    return [
        pytest.param(file, text, id=f"{page.name}-{number}")
        for page in sorted((ROOT / "docs").glob("*.md"))
        for number, (file, text) in enumerate(REGION.findall(page.read_text("utf-8")), start=1)
    ]


@pytest.mark.parametrize(("file", "text"), regions())
def test_a_region_is_what_its_file_says(file: str, text: str) -> None:
    whole = (ROOT / file).read_text("utf-8")
    assert "".join(text.split()) in "".join(whole.split()), text


def test_there_are_regions() -> None:
    """The pattern above still finds them."""
    assert len(regions()) >= 6
