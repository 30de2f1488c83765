"""Pictures of every state of the page, beside those that a person has seen and kept.

    python pages/looks.py            # takes them, and writes looks/changed.html of what changed
    python pages/looks.py --keep     # keeps the new ones, once a person has looked

They lie in `looks/`, outside of git: fonts and browsers draw differently from machine to machine,
so pictures are compared on one. The states are those of `tests/e2e/test_page_fits.py`
and, of signing in and of shared albums, `tests/e2e/test_page_people.py`.
"""

from __future__ import annotations

import argparse
import html
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parents[1]
SUITES = ("tests/e2e/test_page_fits.py", "tests/e2e/test_page_people.py")
STRONG = 24  # levels of 255 by which a pixel differs to the eye; antialiasing stays below
SHARE = 0.001  # of the pixels that may differ so: a clock, a caret


def main() -> int:
    """Takes the pictures, or keeps them; 1 when some changed."""
    options = arguments()
    kept, new = options.folder / "kept", options.folder / "new"
    if options.keep:
        if not any(new.glob("*.png")):
            print("there are no new pictures: run it without --keep first", file=sys.stderr)
            return 2
        shutil.rmtree(kept, ignore_errors=True)
        new.rename(kept)
        print(f"kept {len(list(kept.iterdir()))} pictures")
        return 0
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    command = [sys.executable, "-m", "pytest", "-q", *SUITES]
    environment = {**os.environ, "RELOOK_LOOKS": str(new)}
    if code := subprocess.run(command, cwd=HERE, env=environment, check=False).returncode:
        return code
    changed = compared(kept, new)
    write_sheet(options.folder / "changed.html", changed)
    print(f"{len(list(new.iterdir()))} pictures, {len(changed)} to look at")
    return 1 if changed else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--keep", action="store_true", help="keep the pictures of the last run")
    made.add_argument("--folder", type=Path, default=HERE / "looks", help="where they lie")
    return made.parse_args()


def compared(kept: Path, new: Path) -> list[tuple[str, str]]:
    """Names of the pictures that changed, came or went, each with what happened."""
    names = sorted({file.name for folder in (kept, new) for file in folder.glob("*.png")})
    told = ((name, what_changed(kept / name, new / name)) for name in names)
    return [(name, what) for name, what in told if what]


def what_changed(before: Path, after: Path) -> str:
    """In a few words; empty where nothing did."""
    if not before.exists():
        return "new"
    if not after.exists():
        return "gone"
    old, now = (np.asarray(Image.open(file).convert("RGB"), np.int16) for file in (before, after))
    if old.shape != now.shape:
        return f"{old.shape[1]} x {old.shape[0]} px before, now {now.shape[1]} x {now.shape[0]}"
    share = float((np.abs(old - now).max(axis=2) > STRONG).mean())
    return f"{share:.1%} of it differs" if share > SHARE else ""


def write_sheet(file: Path, changed: list[tuple[str, str]]) -> None:
    """A page with both pictures of each state that changed."""
    rows = "".join(
        f"<h2>{html.escape(name)}: {html.escape(what)}</h2>"
        f'<img src="kept/{html.escape(name)}" alt="before"> '
        f'<img src="new/{html.escape(name)}" alt="now">'
        for name, what in changed
    )
    style = "body { font: 14px sans-serif; } img { max-width: 49%; vertical-align: top; }"
    file.write_text(f"<!doctype html><title>What changed</title><style>{style}</style>{rows}")


if __name__ == "__main__":
    sys.exit(main())
