"""Does the wheel work for someone who has nothing else? Run by `make smoke`; under 90 s.

Builds the wheel into a temporary folder, looks inside, installs it bare (no extras) with
constraints.txt into a new environment, and there imports, indexes a few pictures, searches
them and runs the doctor, with an empty home folder. The first thing that is wrong ends it with
one line and exit code 1. Baseline: none; this passes or fails. Installing reads the package
index; what is installed then runs without network.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from figures import Figure, parser, report, say
from photographs import make_pictures

ROOT = Path(__file__).resolve().parent.parent
MODEL = "relook/encoders/builtin_model/"
IN_WHEEL = (
    "relook/py.typed", MODEL + "image.onnx", MODEL + "text.onnx", MODEL + "tokenizer.json",
    MODEL + "model.json",
)  # fmt: skip
ABSENT = ("torch", "transformers", "tokenizers", "huggingface_hub", "httpx", "playwright")
PAGE_KEYS = {"query", "session_id", "hits", "notes", "took_ms", "n_fitting", "suggestions"}
HIT_KEYS = {
    "image_id", "path", "score", "tile", "title", "caption", "width_px", "height_px", "folded",
    "fit", "metadata",
}  # fmt: skip
MAX_WHEEL_BYTES = 60_000_000
MAX_IMPORT_S = 1.0


class SmokeError(Exception):
    """What is wrong, in one line."""


def main() -> int:
    """Runs the steps; the exit code."""
    options = arguments()
    began = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="relook-smoke-") as folder:
            figures = _steps(Path(folder), options.constraints, options.wheel)
    except SmokeError as error:
        print(f"smoke: FAILED: {error}", file=sys.stderr)
        return 1
    figures.append(Figure("whole run", time.perf_counter() - began, "s", at_most=90))
    report("smoke", figures, options)
    print("smoke: ok")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--wheel", type=Path, help="this one, instead of one built now")
    made.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt")
    return made.parse_args()


def _steps(folder: Path, constraints: Path, wheel: Path | None) -> list[Figure]:
    if wheel is None:
        say("building the wheel")
        wheel = _build(folder / "dist")
    _look_inside(wheel)
    say("installing it into a new environment")
    python = _install(wheel, folder / "venv", constraints)
    environment = _clean_environment(folder / "home")
    _assert_bare(python, environment)
    say("importing")
    import_s = _import_s(python, environment)
    _use(python, folder, environment)
    return [
        Figure("wheel", wheel.stat().st_size / 1e6, "MB", at_most=MAX_WHEEL_BYTES / 1e6),
        Figure("import relook", import_s * 1e3, "ms", at_most=MAX_IMPORT_S * 1e3),
    ]


def _build(folder: Path) -> Path:
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    wheel = next(folder.glob("relook-*.whl"), None)
    if wheel is None:
        raise SmokeError("hatchling built no wheel")
    return wheel


def _look_inside(wheel: Path) -> None:
    n_bytes = wheel.stat().st_size
    if n_bytes >= MAX_WHEEL_BYTES:
        raise SmokeError(f"the wheel has {n_bytes:,} bytes; the limit is {MAX_WHEEL_BYTES:,}")
    with zipfile.ZipFile(wheel) as archive:
        missing = [name for name in IN_WHEEL if name not in archive.namelist()]
    if missing:
        raise SmokeError(f"the wheel lacks {', '.join(missing)}")


def _install(wheel: Path, venv: Path, constraints: Path) -> Path:
    """A new environment with the bare wheel; its interpreter."""
    _run([sys.executable, "-m", "venv", str(venv)])
    python = venv / "bin" / "python"
    quiet = ["--quiet", "--disable-pip-version-check", "-c", str(constraints)]
    _run([str(python), "-m", "pip", "install", *quiet, str(wheel)])
    return python


def _clean_environment(home: Path) -> dict[str, str]:
    """This environment's variables without those that would lead out of the new one."""
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, "HOME": str(home)}


def _assert_bare(python: Path, environment: dict[str, str]) -> None:
    program = (
        "import importlib.util, json, sys;"
        f"print(json.dumps([n for n in {ABSENT!r} if importlib.util.find_spec(n)]))"
    )
    found = json.loads(_run([str(python), "-c", program], env=environment))
    if found:
        raise SmokeError(f"a bare install brings {', '.join(found)}")


def _import_s(python: Path, environment: dict[str, str]) -> float:
    """Seconds of `import relook` inside the process, the best of three."""
    program = (
        "import time; began = time.perf_counter(); import relook;print(time.perf_counter() - began)"
    )
    best = min(float(_run([str(python), "-c", program], env=environment)) for _ in range(3))
    if best > MAX_IMPORT_S:
        raise SmokeError(f"import relook takes {best:.2f} s; the limit is {MAX_IMPORT_S:g} s")
    return best


def _use(python: Path, folder: Path, environment: dict[str, str]) -> None:
    """Indexes, searches and asks the doctor, with the library in its default place."""
    n_pictures = len(make_pictures(folder / "pictures", 6, 400))
    relook = str(python.with_name("relook"))
    say("relook index")
    report_of = _json([relook, "index", str(folder / "pictures"), "--json"], environment)
    if report_of.get("n_added") != n_pictures or report_of.get("n_skipped") != 0:
        raise SmokeError(f"relook index added not all {n_pictures} pictures: {report_of}")
    say("relook search")
    page = _json([relook, "search", "an astronaut", "--json"], environment)
    if not set(page) >= PAGE_KEYS:
        raise SmokeError(f"a page has the keys {sorted(page)}, not {sorted(PAGE_KEYS)}")
    if not page["hits"] or not set(page["hits"][0]) >= HIT_KEYS:
        raise SmokeError(f"a hit is not what it should be: {page['hits'][:1]}")
    say("relook doctor")
    facts = _json([relook, "doctor", "--json"], environment)
    if not all(check["ok"] for check in facts["checks"]):
        raise SmokeError(f"relook doctor finds faults: {facts['checks']}")
    stray = [path.name for path in folder.joinpath("pictures").iterdir() if path.suffix != ".jpg"]
    if stray:
        raise SmokeError(f"something was written beside the pictures: {stray}")


def _json(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    printed = _run(command, env=environment)
    try:
        values: dict[str, Any] = json.loads(printed)
    except ValueError:
        raise SmokeError(f"{' '.join(command[1:])} printed no JSON: {printed[:200]!r}") from None
    return values


def _run(command: list[str], **options: Any) -> str:
    """What a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        told = " | ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-8:])
        name = " ".join([Path(command[0]).name, *command[1:4]])
        raise SmokeError(f"{name} ended with code {done.returncode}: {told}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
