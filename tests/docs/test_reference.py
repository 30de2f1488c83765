"""The generated reference is what the code says now."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """What the generator makes of the code."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "pages" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: dict[str, str] = module.pages()
    return made


@pytest.mark.parametrize("name", ["commands.md", "errors.md", "rest.md"])
def test_a_page_is_up_to_date(pages: dict[str, str], name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text("utf-8")
    assert pages[name] == written, "run: python pages/reference.py"


def test_pages_name_what_is_there(pages: dict[str, str]) -> None:
    """The generator finds commands, codes and routes at all."""
    assert "## relook session export" in pages["commands.md"]
    assert "| `no_library` | `NotFoundError` |" in pages["errors.md"]
    assert "| `POST` | `/api/v1/ask` |" in pages["rest.md"]
