"""`relook info`: what a library holds. Layer: cli."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from relook.app.facade import Library
from relook.app.upkeep import library_fields
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import print_json, print_notes, print_table
from relook.core.progress import duration
from relook.library.left_out import OtherFiles, others_note


def info(
    library: LibraryOption = None,
    skipped: Annotated[
        bool, typer.Option("--skipped", help="List the skipped files with their reasons.")
    ] = False,
    fields: Annotated[
        bool, typer.Option("--fields", help="List what --where may name, with an example of each.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What a library holds."""
    with Library(library) as lib:
        facts = lib.info()
        files = lib.files.catalog.skipped() if skipped else []
        keys = library_fields(lib.files) if fields else []
    if as_json:
        unread = {"skipped": [file.as_dict() for file in files]} if skipped else {}
        print_json({**facts, **unread, **({"fields": keys} if fields else {})})
        return
    if fields:
        print_table(
            ["field", "images", "example"],
            [(key["key"], f"{key['n']:,}", str(key["example"])) for key in keys],
        )
        return
    away = [f"{away['n']:,}: {away['place']} {away['reason']}" for away in facts.pop("away")]
    others = others_note([OtherFiles(**files) for files in facts.pop("others")])
    offer, age_s = facts.pop("upgrade", None), facts.pop("backup_age_s", None)
    facts["backup"] = "none yet" if age_s is None else f"{duration(age_s)} ago"
    rows = _labelled(facts | ({"away": "; ".join(away)} if away else {}))
    print_table(["what", "value"], rows)
    print_notes([*([others] if others else []), *([_upgrade_note(offer)] if offer else [])])
    if files:
        listed = [file.as_dict() for file in files]
        print_table(
            ["skipped", "code", "reason"], [(f["path"], f["code"], f["message"]) for f in listed]
        )
    elif skipped:
        sys.stdout.write("No file was skipped.\n")


_LABELS = {
    "n_images": "pictures", "n_tiles": "parts searched", "n_away": "pictures away",
    "n_skipped": "skipped files", "n_unencoded": "not read at the last upgrade",
    "n_text_read": "looked through for words", "n_text_found": "with words in them",
    "encoder_revision": "revision of the encoder", "fingerprint": "fingerprint of the encoder",
    "dim": "numbers in a vector", "format_version": "format of the library",
    "roots": "folders", "n_bytes": "on disk",
}  # fmt: skip


def _labelled(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts as people read them."""
    return [(_LABELS.get(key, key), _written(key, value)) for key, value in facts.items()]


def _written(key: str, value: Any) -> str:
    if key == "n_bytes":
        return f"{value / 1e6:,.1f} MB"
    if isinstance(value, list):
        return "\n".join(map(str, value)) or "none"
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _upgrade_note(offer: Mapping[str, Any]) -> str:
    what = "goes on with the upgrade" if offer["begun"] else "makes the vectors again"
    return f"an older encoder made this library: relook upgrade {what}, to {offer['after']}"
