"""`relook doctor`: what is installed, what works, what would leave the machine. Layer: cli."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Annotated, Any

import typer

import relook
from relook.app.places import library_folder
from relook.cli.checkup import look_after
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import print_json, print_table
from relook.cli.recall import print_recall
from relook.core.errors import RelookError
from relook.encoders import ENCODERS
from relook.encoders.builtin import BuiltinEncoder
from relook.library.files import LibraryFiles
from relook.library.manifest import Manifest

__all__ = ["doctor"]

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
        look_after(library_folder(library), as_json, mend=repair)
        return
    if recall:
        print_recall(library, as_json)
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
        _print(facts)
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
    told = f"{encoder.dim} dimensions, files as shipped, {encoder.fingerprint.digest}"
    return {"check": "built-in encoder", "ok": True, "told": told}


def _check_library(named: Any) -> dict[str, Any]:
    folder = library_folder(named)
    if not Manifest.exists(folder):
        told = f"none yet at {folder}; make it with: relook index FOLDER"
        return {"check": "library", "ok": True, "told": told}
    try:
        with LibraryFiles.open(folder) as files:
            told = f"{files.catalog.count('images'):,} images at {folder}"
    except RelookError as error:
        return {"check": "library", "ok": False, "told": str(error)}
    return {"check": "library", "ok": True, "told": told}


def _print(facts: dict[str, Any]) -> None:
    sys.stdout.write(f"relook {facts['relook']}, Python {facts['python']}\n")
    rows = [(c["check"], "ok" if c["ok"] else "FAILED", c["told"]) for c in facts["checks"]]
    print_table(["check", "", ""], rows)
    print_table(["package", "version"], list(facts["packages"].items()))
    print_table(["encoder", "what it is"], list(facts["encoders"].items()))
    print_table(["provider", "what it asks"], list(facts["providers"].items()))
    print_table(["answerer", "what it is"], list(facts["answerers"].items()))
    sys.stdout.write(f"leaves this machine: {facts['leaves_the_machine']}\n")
