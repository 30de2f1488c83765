"""`make house` counts what it says it counts, and the package keeps to its own rules."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "release" / "house.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module
    spec.loader.exec_module(module)
    return module


house = _load()

FILES = {
    "__init__.py": '"""The door."""\n',
    "a/__init__.py": "",
    "a/base.py": (
        '"""Two lines\nof docstring."""\n\nimport os\nfrom typing import TYPE_CHECKING\n\n'
        "if TYPE_CHECKING:\n    from tiny.b.late import Late\n\n"
        '__all__ = [\n    "Value",\n]\n\n\n'
        "class Value:\n    # a comment\n    def as_dict(self):\n        return os.name\n"
    ),
    "b/__init__.py": "",
    "b/base.py": (
        "from ..a import base\n\n\n"
        "def several(self, x, y, /, *, z):\n    one = found = x\n    return one\n\n\n"
        "def more(told):\n    import tiny.b.late\n"
    ),
    "b/late.py": "from tiny.b.base import more\n\nVALUE = more\n",
    "c.py": "from tiny.a import base\nfrom tiny.b import base as other, late\n",
}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def test_every_figure_of_a_tiny_package(tiny: Path) -> None:
    assert house.figures(house.read_package(tiny)) == {
        "files": 7,
        "lines": 34,
        "code_lines": 20,
        "doc_lines": 4,
        "blank_lines": 10,
        "file_lines": [2, 18, 18],
        "function_lines": [2, 3, 3],
        "import_share": 45.8,
        "one_definition": 1,
        "most_parameters": 3,
        "one_importer": 0,
        "one_importer_short": 0,
        "shared_names": 1,
        "circles": 1,
        "room_circles": 0,
        "dialect": [1, 1, 1, 0, 0],
        "by_hand": 1,
    }


def test_the_names_behind_the_figures(tiny: Path) -> None:
    (tiny / "c.py").write_text("from tiny.b import base as other\nfrom tiny.a import base\n")
    (tiny / "a" / "base.py").write_text("from tiny import c\n")
    assert house.names_behind(house.read_package(tiny)) == {
        "one_importer_short": {"tiny/b/late.py": "tiny.b.base", "tiny/c.py": "tiny.a.base"},
        "shared_names": {"base": ["tiny/a/base.py", "tiny/b/base.py"]},
        "circles": [["tiny.a.base", "tiny.b.base", "tiny.b.late", "tiny.c"]],
        "room_circles": [["tiny.a", "tiny.b", "tiny.c"]],
        "by_hand": [],
    }


def test_the_script_prints_a_table_or_json(tiny: Path) -> None:
    printed = subprocess.run(
        [sys.executable, SCRIPT, tiny], capture_output=True, text=True, check=True
    ).stdout
    assert "| files | 7 |" in printed
    assert "| file: median, p90, most lines | 2, 18, 18 |" in printed
    printed = subprocess.run(
        [sys.executable, SCRIPT, tiny, "--json"], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(printed)["figures"]["files"] == 7


# Module names that more than one room may use: each seam's `base`, a command beside what it calls.
SHARED = {"base", "copies"}
# Short modules with one importer that stand apart for a reason that their docstrings give.
APART = {"relook/app/sessions.py"}


def test_the_package_keeps_the_rules_of_the_house() -> None:
    modules = house.read_package(house.ROOT / "src" / "relook")
    figures, names = house.figures(modules), house.names_behind(modules)
    assert names["circles"] == []
    assert names["room_circles"] == []
    assert figures["file_lines"][-1] <= 400
    assert figures["function_lines"][-1] <= 60
    assert set(names["one_importer_short"]) <= APART
    assert figures["import_share"] < 8
    assert set(names["shared_names"]) <= SHARED
    vague = dict(zip(house.DIALECT, figures["dialect"], strict=True))
    assert [vague[word] for word in ("one", "told", "said")] == [0, 0, 0]
    assert vague["found"] <= 3  # a JSON key of `relook bench`
    assert vague["asked"] <= 1  # what a fake web server was asked, which tests of plugins read


FOLDERS = ("benchmarks", "docs", "examples", "fuzz", "pages", "release", "tests", "training")


def test_no_file_beside_the_package_is_longer_than_one_of_it() -> None:
    lengths = {
        str(path.relative_to(house.ROOT)): len(path.read_text("utf-8").splitlines())
        for folder in FOLDERS
        for path in (house.ROOT / folder).rglob("*.py")
    }
    assert len(lengths) > 300
    assert [path for path, n_lines in lengths.items() if n_lines > 400] == []
