"""`relook doctor --check` and `--repair`: a library from end to end. Layer: cli."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from relook.cli.output import clean_lines, print_json, progress_bar
from relook.core.leftovers import ended_folders, sweep_folders
from relook.core.untrusted import TEMPORARY
from relook.library.findings import CheckReport, Finding, RepairReport

__all__ = ["look_after"]


def look_after(folder: Path, as_json: bool, *, mend: bool) -> None:
    """Checks a library, or mends it, and says what there was.

    Args:
        folder: The library.
        as_json: One JSON object instead of text.
        mend: Mend what the check finds.

    Raises:
        typer.Exit: with 1 when the library is not sound, after mending too.
    """
    from relook.library.check import check
    from relook.library.repair import repair

    with progress_bar(as_json) as progress:
        told = repair(folder, progress=progress) if mend else check(folder, progress=progress)
    _look_beside(told)
    if as_json:
        print_json(told.as_dict())
    elif isinstance(told, RepairReport):
        _print_repair(told)
    else:
        _print_check(told, folder)
    if not (told.after if isinstance(told, RepairReport) else told).sound:
        raise typer.Exit(1)


def _look_beside(told: CheckReport | RepairReport) -> None:
    """Adds what servers left outside of the library, or removes it where something is mended."""
    if isinstance(told, RepairReport):
        if n := sweep_folders(TEMPORARY):
            told.done.append(f"removed {n} temporary folders of servers that were ended")
        return
    if folders := [str(folder) for folder in ended_folders(TEMPORARY)]:
        told.note(
            "temporary_leftover",
            f"{len(folders)} temporary folders of servers that were ended, with pictures that"
            " people searched with",
            len(folders),
            "remove them; the next server does, too",
            folders,
        )


def _print_check(report: CheckReport, folder: Path | None = None) -> None:
    counts = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in report.counts.items())
    n = len(report.findings)
    verdict = "sound" if report.sound else f"damaged, {n} finding{'s' if n > 1 else ''}"
    _say(f"{verdict}: {folder or 'the library'} ({counts or 'nothing could be counted'})"
         f" in {report.seconds:.1f} s")  # fmt: skip
    for finding in report.findings:
        _print_finding("finding", finding)
    for note in report.notes:
        _print_finding("note", note)
    if report.findings:
        _say("mend with: relook doctor --repair")


def _print_finding(kind: str, finding: Finding) -> None:
    _say(f"{kind}[{finding.code}]: {finding.message}")
    for place in finding.where:
        _say(f"    {place}")
    if finding.n > len(finding.where) > 1:
        _say(f"    ... {finding.n:,} in all")
    _say(f"  --repair would: {finding.repair}")


def _print_repair(report: RepairReport) -> None:
    for one in report.done or ["nothing to do"]:
        _say(one)
    for file in report.kept:
        _say(f"kept as it was: {file}")
    _print_check(report.after)


def _say(text: str) -> None:
    sys.stdout.write(clean_lines(text) + "\n")
