"""Models of the hub: where they are on this machine, and how they get there. Layer: encoders.

`fetch` is the only thing here that uses the network, and runs only when a person asks for it.
A download that breaks off goes on from there, and every file is compared with the sum that the
hub states for it.

Source: the hub's client `huggingface_hub`; a file's sum is SHA-256 for one in LFS, and else
that of a Git blob.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relook.core.disk_errors import disk_error
from relook.core.errors import FetchError, MissingExtraError, ModelError

__all__ = ["cached", "fetch", "local_folder"]

_CHUNK = 1 << 20


def local_folder(model: str, kind: str) -> Path | None:
    """The folder that a model's name means; None for the id of a model of the hub.

    Args:
        model: What a person wrote.
        kind: How such an encoder is written (`hf`, `onnx`), for the hint.

    Raises:
        ModelError: `model_missing` for a path where no folder is.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.absolute()
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise ModelError(
            "model_missing",
            f"there is no folder {model}",
            "check the path (a model of the hub is ORG/NAME); if a library's model was moved, name"
            f" its new place: relook index --encoder {kind}:FOLDER",
        )
    return None


def cached(model: str, revision: str = "", kind: str = "hf") -> Path:
    """The folder of a model that was fetched before; its name is the commit.

    Args:
        model: Hub id.
        revision: Branch, tag or commit; the main branch when empty.
        kind: As for `local_folder`.

    Raises:
        ModelError: `model_missing` with what to run.
        MissingExtraError: when the hub's client is not installed.
    """
    hub = _client()
    try:
        return Path(hub.snapshot_download(model, revision=revision or None, local_files_only=True))
    except Exception as error:
        option = f" --revision {revision}" if revision else ""
        prefix = "" if kind == "hf" else f"{kind}:"
        raise ModelError(
            "model_missing",
            f"the model {_named(model, revision)} is not on this machine",
            f"fetch it: relook model fetch {prefix}{model}{option}",
        ) from error


def fetch(model: str, revision: str, choose: Callable[[list[str]], list[str]]) -> Path:
    """Downloads a model into the hub's cache; what is there already stays.

    Args:
        model: Hub id.
        revision: Branch, tag or commit; the main branch when empty.
        choose: Which of a repository's files are wanted.

    Returns:
        Its folder; its name is the commit.

    Raises:
        ModelError: `model_missing` when the hub does not give it, or `HF_HUB_OFFLINE` is set;
            what `choose` raises.
        FetchError: `bad_checksum` when a file is not what the hub says it is.
        StorageError: when the disk refuses.
        MissingExtraError: when the hub's client is not installed.
    """
    hub = _client()
    try:
        facts = hub.HfApi().model_info(model, revision=revision or None, files_metadata=True)
        siblings = {entry.rfilename: entry for entry in facts.siblings or []}
    # The hub's client raises a dozen kinds of its own, of several HTTP stacks, and OSError.
    except Exception as error:
        raise _not_given(model, revision, error) from error
    wanted = choose(sorted(siblings))
    try:
        folder = Path(hub.snapshot_download(model, revision=facts.sha, allow_patterns=wanted))
    except Exception as error:
        if isinstance(error, OSError) and error.errno and not hasattr(error, "response"):
            raise disk_error(f"cannot write the files of {model}", error) from error
        raise _not_given(model, revision, error) from error
    for name in wanted:
        _verify(folder / name, siblings[name], model)
    return folder


def _verify(path: Path, stated: Any, model: str) -> None:
    """Compares a file with what the hub states of it; a wrong one is removed."""
    lfs = getattr(stated, "lfs", None)
    expected = lfs.sha256 if lfs else stated.blob_id
    size = path.stat().st_size
    sha = (
        hashlib.sha256() if lfs else hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    )
    with open(path, "rb") as file:
        while data := file.read(_CHUNK):
            sha.update(data)
    if sha.hexdigest() == expected:
        return
    path.resolve().unlink()
    path.unlink(missing_ok=True)
    raise FetchError(
        "bad_checksum",
        f"{path.name} of {model} has the sum {sha.hexdigest()}, not {expected}; it is removed",
        "run the same command again; if it stays so, the file was changed on its way",
    )


def _client() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "missing_extra",
            f"models of the hub need the package {error.name!r}",
            "pip install 'relook[onnx]', or 'relook[hf]' with torch",
        ) from error
    return huggingface_hub


def _named(model: str, revision: str) -> str:
    return f"{model} (revision {revision})" if revision else model


def _not_given(model: str, revision: str, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return ModelError(
        "model_missing",
        f"the hub does not give {_named(model, revision)}: {reason}",
        "check the id, the network and HF_HUB_OFFLINE; what arrived is kept: run the same command"
        " again; a gated model needs HF_TOKEN",
    )
