"""`import relook` costs next to nothing, and its names are those it lists."""

import subprocess
import sys

import pytest

import relook

HEAVY = ("numpy", "onnxruntime", "torch", "typer", "PIL", "faiss", "rich", "sqlite3")


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = f"import relook, sys; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_a_search_loads_no_index_no_server_and_no_model() -> None:
    """Each of these takes a tenth of a second or more; whoever needs one imports it then."""
    heavy = (
        "faiss", "torch", "PIL", "pydantic", "fastapi", "httpx", "pymilvus", "ray", "IPython",
        "relook.feedback.strategies", "relook.search.session", "relook.library.compaction",
    )  # fmt: skip
    program = (
        "import relook.cli.search, relook.app.facade, relook.library.files, sys;"
        f" print([m for m in {heavy} if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


def test_every_listed_name_can_be_imported_and_every_lazy_name_is_listed() -> None:
    for name in relook.__all__:
        assert getattr(relook, name) is not None
    assert sorted([*relook._HOMES, "__version__"]) == sorted(relook.__all__)
    assert set(relook.__all__) <= set(dir(relook))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Librarian'"):
        relook.Librarian  # noqa: B018
