"""What a release is refused for."""

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
GOOD = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-26\n\n### Added\n- All.\n"


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "release" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout that is a release: 1.2.3 in every place, tagged and clean."""
    (tmp_path / "src/relook").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "src/relook/__init__.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(GOOD)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    git(tmp_path, "tag", "v1.2.3")
    return tmp_path


def git(tree: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "tag.gpgSign=false"]
    subprocess.run(["git", *who, *words], cwd=tree, check=True, capture_output=True)


def commit(tree: Path) -> None:
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "x", "--no-gpg-sign")


def test_a_release_is_not_refused(release: ModuleType, tree: Path) -> None:
    assert release.refusals(tree) == []


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("pyproject.toml", '[project]\nversion = "1.2.4"\n', "relook.__version__ says 1.2.3"),
        ("src/relook/__init__.py", '__version__ = "2"\n', "relook.__version__ says 2"),
        ("CHANGELOG.md", GOOD.replace("1.2.3", "1.2.2"), "'## [1.2.2] - 2026-11-26' on top"),
        ("CHANGELOG.md", GOOD.replace(" - 2026-11-26", ""), "not '## [1.2.3] - DATE'"),
        ("CHANGELOG.md", "# Changelog\n", "'no version' on top"),
        ("CHANGELOG.md", GOOD.replace("[Unreleased]\n", "[Unreleased]\n- A.\n"), "entries under"),
    ],
)  # fmt: skip
def test_what_does_not_agree_is_refused(
    release: ModuleType, tree: Path, file: str, text: str, said: str
) -> None:
    (tree / file).write_text(text)
    commit(tree)
    git(tree, "tag", "-f", "v1.2.3")
    assert said in " | ".join(release.refusals(tree))


def test_an_untagged_or_changed_tree_is_refused(release: ModuleType, tree: Path) -> None:
    (tree / "new.txt").write_text("x")
    assert release.refusals(tree) == ["the work tree has changes that are not committed"]
    commit(tree)
    assert release.refusals(tree) == ["the commit has no tag v1.2.3"]
    git(tree, "tag", "v1.2.2")
    assert release.refusals(tree) == ["the commit has no tag v1.2.3; it has v1.2.2"]
