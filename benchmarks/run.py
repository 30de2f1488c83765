"""Runs the benchmarks one after the other and gathers their figures.

Each runs in a process of its own. The figures go to bench-out/figures.json and, as one table,
to stdout; progress goes to stderr. The quick form takes a few minutes; --full has the sizes
that the targets name. Baselines are inside each benchmark.
Read it: close other programs first; `load_average` in the JSON says how quiet the machine was.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from figures import Figure, machine, parser, print_table

HERE = Path(__file__).resolve().parent
NAMES = (
    "cold", "encoder", "indexing", "pipeline", "search", "rounds", "ask", "memory", "mosaics",
    "peers",
)  # fmt: skip


def main() -> int:
    """Runs the chosen benchmarks; 1 when one of them could not run."""
    options = arguments()
    results, failed = [], []
    with tempfile.TemporaryDirectory(prefix="relook-bench-") as folder:
        for name in options.only or NAMES:
            if name == "mosaics" and not (options.pictures and options.captions):
                print("mosaics: left out, needs --pictures and --captions", file=sys.stderr)
                continue
            print(f"{name} ...", file=sys.stderr, flush=True)
            result = _run(name, Path(folder, f"{name}.json"), options)
            if result is None:
                failed.append(name)
            else:
                results.append(result)
    options.out.mkdir(parents=True, exist_ok=True)
    whole = {"machine": machine(), "full": options.full, "benchmarks": results}
    (options.out / "figures.json").write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    _print(results)
    print(f"\nfigures: {options.out / 'figures.json'}")
    for name in failed:
        print(f"FAILED: {name} (see its messages above)")
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--only", nargs="*", choices=NAMES, help="these only")
    made.add_argument("--out", type=Path, default=HERE.parent / "bench-out")
    made.add_argument("--pictures", type=Path, help="held-out photographs, for mosaics and search")
    made.add_argument("--captions", type=Path, help="their captions, for mosaics")
    made.add_argument("--torch-python", help="an interpreter with torch, for encoder")
    return made.parse_args()


def _run(name: str, file: Path, options: argparse.Namespace) -> dict[str, Any] | None:
    """Runs one benchmark; what it wrote, or None when it failed."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(file)]
    if options.full:
        command.append("--full")
    if name in ("mosaics", "search", "rounds", "ask") and options.pictures:
        command += ["--pictures", str(options.pictures)]
    if name == "mosaics":
        command += ["--captions", str(options.captions)]
    if name == "encoder" and options.torch_python:
        command += ["--torch-python", options.torch_python]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode or not file.is_file():
        return None
    result: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return result


def _print(results: list[dict[str, Any]]) -> None:
    fields = ("value", "unit", "at_least", "at_most", "note")
    figures = [
        Figure(f"{result['benchmark']}: {one['name']}", *(one[field] for field in fields))
        for result in results
        for one in result["figures"]
    ]
    print_table(figures)


if __name__ == "__main__":
    sys.exit(main())
