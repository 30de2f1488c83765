"""Figures of a benchmark: a table for people, JSON for programs, and the machine's facts.

Every script here returns a list of `Figure`s and hands it to `report`.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("relook", "numpy", "pillow", "onnxruntime", "faiss-cpu")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Args:
        name: What was measured.
        value: The figure, None when it could not be measured (`note` says why).
        unit: Of the value.
        at_least, at_most: The target, where there is one.
        note: What a reader must know.
    """

    name: str
    value: float | None
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def target(self) -> str:
        """The target as text, empty without one."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""

    @property
    def met(self) -> bool | None:
        """Whether the target was met; None where there is none to meet."""
        if self.value is None or not self.target:
            return None
        return self.value >= self.at_least if self.at_least is not None else self.meets_most

    @property
    def meets_most(self) -> bool:
        """Whether the value is at most `at_most`."""
        return self.value is not None and self.at_most is not None and self.value <= self.at_most

    def as_dict(self) -> dict[str, Any]:
        """A JSON form."""
        return {**asdict(self), "target": self.target, "met": self.met}


def parser(doc: str) -> argparse.ArgumentParser:
    """Options that every script has; the description is the script's docstring."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    made.add_argument("--full", action="store_true", help="more data and repeats than the default")
    return made


def report(name: str, figures: Sequence[Figure], options: argparse.Namespace) -> None:
    """Prints the table and, when asked for, writes the JSON."""
    print(f"\n{name} ({machine()['cpu']}, {machine()['n_cores']} cores)")
    print_table(figures)
    if options.json:
        given = {k: str(v) for k, v in vars(options).items() if k != "json" and v not in (None, "")}
        whole = {
            "benchmark": name,
            "machine": machine(),
            "arguments": given,
            "figures": [figure.as_dict() for figure in figures],
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")


def print_table(figures: Sequence[Figure]) -> None:
    """Prints name, value, unit, target and note of each figure, in columns."""
    marks = {True: "met", False: "MISSED", None: ""}
    rows = [
        (f.name, _number(f.value), f.unit, f"{f.target} {marks[f.met]}".strip(), f.note)
        for f in figures
    ]
    rows = [("what", "value", "unit", "target", "note"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), row[1].rjust(widths[1])]
        cells += [row[column].ljust(widths[column]) for column in (2, 3)]
        print("  ".join([*cells, row[4]]).rstrip())


def say(text: str) -> None:
    """A progress line on stderr."""
    print(f"  .. {text}", file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "n_cores": len(os.sched_getaffinity(0)) if _LINUX else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def times_ms(run: Callable[[], object], n: int, warm: int = 1) -> np.ndarray:
    """Wall times of `n` calls in milliseconds [n], after `warm` calls that do not count."""
    for _ in range(warm):
        run()
    taken = np.empty(n)
    for at in range(n):
        began = time.perf_counter()
        run()
        taken[at] = (time.perf_counter() - began) * 1e3
    return taken


_LINUX = hasattr(os, "sched_getaffinity")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.4g}"


def _cpu_model() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
