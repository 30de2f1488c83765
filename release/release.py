"""Builds and checks a release. Run by `make release`.

    python release/release.py             refuses unless version, changelog and tag agree
    python release/release.py --rehearse  builds and checks all the same, and only says what
                                          a release would be refused for

The version stands in pyproject.toml; relook.__version__, the newest heading of CHANGELOG.md and the
tag of the commit must say the same, nothing may wait under [Unreleased], and the work tree
must be clean. Then: sdist and wheel into dist/, the wheel built again from the sdist must hold
the same files, benchmarks/smoke.py installs the wheel bare and uses it, and dist/SHA256SUMS
is written.
"""

import argparse
import ast
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_HEADING = re.compile(r"^## \[(?P<name>[^\]]+)\](?: - (?P<date>\d{4}-\d\d-\d\d))?$", re.MULTILINE)


class ReleaseError(Exception):
    """Why there is no release."""


def main() -> int:
    """Checks, builds, checks what was built; the exit code."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--rehearse", action="store_true")
    rehearse = made.parse_args().rehearse
    reasons = refusals(ROOT)
    for reason in reasons:
        print(f"release: {'would be refused' if rehearse else 'refused'}: {reason}")
    if reasons and not rehearse:
        return 1
    try:
        for file in build(ROOT / "dist"):
            print(f"release: {file.name}  {file.stat().st_size / 1e6:.1f} MB")
    except ReleaseError as error:
        print(f"release: FAILED: {error}", file=sys.stderr)
        return 1
    print("release: rehearsed" if rehearse else "release: ready to upload from dist/")
    return 0


def refusals(root: Path) -> list[str]:
    """Why this commit is no release, one line each; none when it is one."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    version = project["project"]["version"]
    found = []
    if (inside := _module_version(root)) != version:
        found.append(f"pyproject.toml says {version}, relook.__version__ says {inside}")
    found += _changelog_refusals((root / "CHANGELOG.md").read_text("utf-8"), version)
    tags = _git(root, "tag", "--points-at", "HEAD").split()
    if f"v{version}" not in tags:
        has = f"; it has {', '.join(tags)}" if tags else ""
        found.append(f"the commit has no tag v{version}{has}")
    if _git(root, "status", "--porcelain"):
        found.append("the work tree has changes that are not committed")
    return found


def _module_version(root: Path) -> str:
    tree = ast.parse((root / "src/relook/__init__.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__version__":
            return str(ast.literal_eval(node.value))
    return "nothing"


def _changelog_refusals(text: str, version: str) -> list[str]:
    headings = list(_HEADING.finditer(text))
    found = []
    newest = next((h for h in headings if h["name"] != "Unreleased"), None)
    if newest is None or newest["name"] != version or not newest["date"]:
        has = newest[0] if newest else "no version"
        found.append(f"CHANGELOG.md has {has!r} on top, not '## [{version}] - DATE'")
    if headings and headings[0]["name"] == "Unreleased":
        end = headings[1].start() if len(headings) > 1 else len(text)
        if text[headings[0].end() : end].strip():
            found.append("CHANGELOG.md has entries under [Unreleased]")
    return found


def build(dist: Path) -> list[Path]:
    """Makes and checks sdist, wheel and their digests.

    Raises:
        ReleaseError: when something that was built is not as it must be.
    """
    shutil.rmtree(dist, ignore_errors=True)
    _hatchling(ROOT, dist, "sdist", "wheel")
    sdist, wheel = next(dist.glob("*.tar.gz")), next(dist.glob("*.whl"))
    with tempfile.TemporaryDirectory(prefix="relook-release-") as name:
        with tarfile.open(sdist) as archive:
            archive.extractall(name, filter="data")
        source = next(Path(name).iterdir())
        _hatchling(source, Path(name, "again"), "wheel")
        again = next(Path(name, "again").glob("*.whl"))
        if _files(again) != _files(wheel):
            differ = sorted(_files(again) ^ _files(wheel))
            raise ReleaseError(f"the wheel from the sdist differs in {differ[:5]}")
    _call([sys.executable, str(ROOT / "benchmarks/smoke.py"), "--wheel", str(wheel)])
    sums = dist / "SHA256SUMS"
    digests = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}" for f in (sdist, wheel)]
    sums.write_text("\n".join(digests) + "\n", "utf-8")
    return [sdist, wheel, sums]


def _hatchling(source: Path, dist: Path, *targets: str) -> None:
    chosen = [word for target in targets for word in ("-t", target)]
    _call([sys.executable, "-m", "hatchling", "build", *chosen, "-d", str(dist)], source)


def _files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {f"{info.filename} {info.CRC}" for info in archive.infolist()
                if not info.filename.endswith("RECORD")}  # fmt: skip


def _git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def _call(command: list[str], folder: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise ReleaseError(f"{' '.join(command[1:4])} ended with {done.returncode}: {told}")


if __name__ == "__main__":
    sys.exit(main())
