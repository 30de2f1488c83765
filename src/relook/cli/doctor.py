"""`relook doctor`: the installation, and what a library needs. Layer: cli.

It says what is installed, what works and what would leave the machine; `--check` and `--repair`
go over a library from end to end, `--recall` measures its index.
"""

import importlib.metadata
import platform
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import relook
from relook.app.models import encoder_fault
from relook.app.paths import library_folder
from relook.app.upkeep import index_recall
from relook.cli.config_flags import open_library
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import clean_lines, print_json, print_table, progress_bar
from relook.core.errors import InputError, RelookError, counted
from relook.core.leftovers import ended_folders, sweep_folders
from relook.core.progress import duration
from relook.core.sources import TEMPORARY
from relook.encoders import ENCODERS
from relook.encoders.builtin import BuiltinEncoder
from relook.library.backup import backup_age_s
from relook.library.files import LibraryFiles
from relook.library.findings import CheckReport, Finding, RepairReport
from relook.library.manifest import Manifest

_NO_ENCODER = "searching needs the encoder that made it, which cannot be used here: {}"
_PACKAGES = ("numpy", "pillow", "onnxruntime", "faiss-cpu", "typer", "rich")
LEAVES = (
    "nothing, unless you ask for it: relook model fetch asks the model hub for files and"
    " relook dataset the places that publish them,"
    " relook index reads from an address or has a --ray cluster read, when you name one,"
    " --store milvus:// keeps vectors, paths and words there,"
    " --allow-upload lets boxes go to a captioner elsewhere, and pictures that you ask about to"
    " the services you name; relook serve answers on 127.0.0.1,"
    " unless --host says otherwise"
)


def doctor(
    library: LibraryOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check every row, vector and session of the library.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what --check finds; pictures are not touched.")
    ] = False,
    recall: Annotated[
        bool,
        typer.Option("--recall", help="Measure what the index finds of the best tiles instead."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the installation and the library, and say what would leave the machine."""
    if check or repair:
        _look_after(library_folder(library), as_json, mend=repair)
        return
    if recall:
        _print_recall(library, as_json)
        return
    checks = [_check_model(), _check_library(library)]
    facts = {
        "relook": relook.__version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "encoders": {name: a.summary for name, a in ENCODERS.adapters().items()},
        **_for_questions(),
        "leaves_the_machine": LEAVES,
        "checks": checks,
    }
    if as_json:
        print_json(facts)
    else:
        _print_facts(facts)
    if not all(check["ok"] for check in checks):
        raise typer.Exit(1)


def _for_questions() -> dict[str, dict[str, str]]:
    """What looks pictures up and what answers; imported only here, since it needs Pillow."""
    from relook.answerers import ANSWERERS
    from relook.providers import PROVIDERS

    families = {"providers": PROVIDERS, "answerers": ANSWERERS}
    return {
        name: {adapter: a.summary for adapter, a in family.adapters().items()}
        for name, family in families.items()
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _check_model() -> dict[str, Any]:
    try:
        encoder = BuiltinEncoder()
        encoder.verify()
        encoder.encode_texts(["a dog"])
    except RelookError as error:
        return {"check": "built-in encoder", "ok": False, "told": str(error)}
    facts = f"{encoder.dim} dimensions, files as shipped, {encoder.fingerprint.digest}"
    return {"check": "built-in encoder", "ok": True, "told": facts}


def _check_library(named: Any) -> dict[str, Any]:
    try:
        folder = library_folder(named)
    except InputError as error:  # there is no place for one; everything else may still be used
        return {"check": "library", "ok": True, "told": f"{error.message}; {error.hint}"}
    if not Manifest.exists(folder):
        missing = f"none yet at {folder}; make it with: relook index FOLDER"
        return {"check": "library", "ok": True, "told": missing}
    try:
        with LibraryFiles.open(folder) as files:
            images = f"{counted(files.catalog.count('images'), 'image')} at {folder}"
            images += f"; {_backup_text(backup_age_s(folder))}"
        if (fault := encoder_fault(folder)) is not None:
            images += f"; {_NO_ENCODER.format(fault.message)}: {fault.hint}"
    except RelookError as error:
        return {"check": "library", "ok": False, "told": str(error)}
    return {"check": "library", "ok": True, "told": images}


def _print_facts(facts: dict[str, Any]) -> None:
    sys.stdout.write(f"relook {facts['relook']}, Python {facts['python']}\n")
    rows = [(c["check"], "ok" if c["ok"] else "FAILED", c["told"]) for c in facts["checks"]]
    print_table(["check", "", ""], rows)
    print_table(["package", "version"], list(facts["packages"].items()))
    print_table(["encoder", "what it is"], list(facts["encoders"].items()))
    print_table(["provider", "what it asks"], list(facts["providers"].items()))
    print_table(["answerer", "what it is"], list(facts["answerers"].items()))
    sys.stdout.write(f"leaves this machine: {facts['leaves_the_machine']}\n")


def _look_after(folder: Path, as_json: bool, *, mend: bool) -> None:
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
        report = repair(folder, progress=progress) if mend else check(folder, progress=progress)
    _look_beside(report)
    if (fault := encoder_fault(folder)) is not None:
        after = report.after if isinstance(report, RepairReport) else report
        after.note("no_encoder", _NO_ENCODER.format(fault.message), 1, f"nothing; {fault.hint}")
    if as_json:
        print_json(report.as_dict())
    elif isinstance(report, RepairReport):
        _print_repair(report)
    else:
        _print_check(report, folder)
    if not (report.after if isinstance(report, RepairReport) else report).sound:
        raise typer.Exit(1)


def _look_beside(report: CheckReport | RepairReport) -> None:
    """Adds what servers left outside of the library, or removes it where something is mended."""
    if isinstance(report, RepairReport):
        if n := sweep_folders(TEMPORARY):
            folders_of = counted(n, "temporary folder")
            report.done.append(f"removed {folders_of} of servers that were ended")
        return
    if folders := [str(folder) for folder in ended_folders(TEMPORARY)]:
        report.note(
            "temporary_leftover",
            f"{counted(len(folders), 'temporary folder')} of servers that were ended, with pictures"
            " that people searched with",
            len(folders),
            "remove them; the next server does, too",
            folders,
        )


def _print_check(report: CheckReport, folder: Path | None = None) -> None:
    counts = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in report.counts.items())
    n = len(report.findings)
    verdict = "sound" if report.sound else f"damaged, {n} finding{'s' if n > 1 else ''}"
    _print_line(f"{verdict}: {folder or 'the library'} ({counts or 'nothing could be counted'})"
         f" in {report.seconds:.1f} s; {_backup_text(report.backup_age_s)}")  # fmt: skip
    for finding in report.findings:
        _print_finding("finding", finding)
    for note in report.notes:
        _print_finding("note", note)
    if report.findings:
        _print_line("mend with: relook doctor --repair")


def _backup_text(age_s: float | None) -> str:
    return "no backup yet" if age_s is None else f"backed up {duration(age_s)} ago"


def _print_finding(kind: str, finding: Finding) -> None:
    _print_line(f"{kind}[{finding.code}]: {finding.message}")
    for place in finding.where:
        _print_line(f"    {place}")
    if finding.n > len(finding.where) > 1:
        _print_line(f"    ... {finding.n:,} in all")
    _print_line(f"  --repair would: {finding.repair}")


def _print_repair(report: RepairReport) -> None:
    for line in report.done or ["nothing to do"]:
        _print_line(line)
    for file in report.kept:
        _print_line(f"kept as it was: {file}")
    _print_check(report.after)


def _print_line(text: str) -> None:
    sys.stdout.write(clean_lines(text) + "\n")


def _print_recall(library: Any, as_json: bool) -> None:
    """Measures and prints recall@20 of tiles and of words."""
    with open_library(library, None) as lib:
        recall = index_recall(lib)
    if as_json:
        print_json(recall)
        return
    indexed = f"{recall['n_indexed']:,} of {counted(recall['n_tiles'], 'tile')} in the index"
    sys.stdout.write(f"index: {recall['index']}; {indexed}\n")
    rows = [
        (sort, str(part["n_queries"]), f"{part['recall_at_20']:.4f}", f"{part['worst']:.2f}",
         f"{part['p50_ms']:.1f} ms")
        for sort in ("tiles", "words")
        if (part := recall[sort])
    ]  # fmt: skip
    print_table(["queries", "asked", "recall@20", "worst", "a search"], rows)
