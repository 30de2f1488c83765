"""Models of the hub: where they are on this machine, and how they get there. Layer: encoders.

`fetch` is the only thing here that uses the network, and runs only when a person asks for it.
A download that breaks off goes on from there, in this run or the next, and every file is compared
with the sum that the hub states for it. The hub's own client would begin anew.

Source: the client `huggingface_hub`, its documentation of the cache (blobs by their sum, snapshots
that link to them, refs from a branch to a commit); a file's sum is SHA-256 for one in LFS, and
else that of a Git blob.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relook.core.checksum import Checksum
from relook.core.errors import MissingExtraError, ModelError, RelookError, disk_error
from relook.core.progress import ProgressCallback
from relook.core.registry import import_extra


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
    hub = _client(kind)
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


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a repository; see `RemoteFile`."""

    path: str
    url: str
    name: str
    n_bytes: int
    checksum: Checksum

    @classmethod
    def of(cls, stated: Any, url: str) -> _File:
        """As the hub states it."""
        path, lfs = str(stated.rfilename), getattr(stated, "lfs", None)
        checksum = Checksum("SHA-256", lfs.sha256) if lfs else Checksum("Git", stated.blob_id)
        return cls(path, url, path.replace("/", "-"), int(stated.size), checksum)


def fetch(
    model: str,
    revision: str,
    choose: Callable[[list[str]], list[str]],
    progress: ProgressCallback | None = None,
    kind: str = "hf",
) -> Path:
    """Downloads a model into the hub's cache; what is there already stays.

    Args:
        model: Hub id.
        revision: Branch, tag or commit; the main branch when empty.
        choose: Which of a repository's files are wanted.
        progress: Called with megabytes so far.
        kind: As for `local_folder`.

    Returns:
        Its folder; its name is the commit.

    Raises:
        ModelError: `model_missing` when the hub does not give it, or `HF_HUB_OFFLINE` is set and
            it is not here; what `choose` raises.
        FetchError: as `Downloader.fetch`.
        StorageError: when the disk refuses.
        MissingExtraError: when the hub's client or httpx is not installed.
    """
    hub = _client(kind)
    download = import_extra("relook.core.download", "relook model fetch", kind)
    if hub.constants.HF_HUB_OFFLINE:
        with contextlib.suppress(ModelError):
            return cached(model, revision, kind)
    try:
        facts = hub.HfApi().model_info(model, revision=revision or None, files_metadata=True)
        stated = {entry.rfilename: entry for entry in facts.siblings or []}
        headers = hub.utils.build_hf_headers()
    # The hub's client raises a dozen kinds of its own, of several HTTP stacks, and OSError.
    except Exception as error:
        raise _not_given(model, revision, error) from error
    home = Path(hub.constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}"
    files = [
        _File.of(stated[name], hub.hf_hub_url(model, name, revision=facts.sha))
        for name in choose(sorted(stated))
    ]
    parts, blobs = home / "relook-parts", home / "blobs"
    with _writing(home), download.open_client(headers) as client:
        for folder in (parts, blobs):
            folder.mkdir(parents=True, exist_ok=True)
        downloader = download.Downloader(client, parts, progress)
        for file in files:
            blob = blobs / file.checksum.digits
            if not blob.is_file() or blob.stat().st_size != file.n_bytes:
                downloader.fetch(file).replace(blob)
            _link(home / "snapshots" / facts.sha / file.path, blob)
        if revision != facts.sha:
            ref = home / "refs" / (revision or "main")
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(facts.sha)
        if not any(parts.iterdir()):
            parts.rmdir()
    return home / "snapshots" / str(facts.sha)


def _link(link: Path, blob: Path) -> None:
    """Makes a file of a snapshot: a link, or a copy where there are no links."""
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(os.path.relpath(blob, link.parent))
    except OSError:
        shutil.copyfile(blob, link)


@contextlib.contextmanager
def _writing(home: Path) -> Iterator[None]:
    """Turns what the disk says into our errors."""
    try:
        yield
    except RelookError:
        raise
    except OSError as error:
        raise disk_error(f"cannot write into {home}", error) from error


def _client(kind: str) -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "missing_extra",
            f"models of the hub need the package {error.name!r}",
            f"pip install 'relook[{kind}]'",
        ) from error
    return huggingface_hub


def _named(model: str, revision: str) -> str:
    return f"{model} (revision {revision})" if revision else model


def _not_given(model: str, revision: str, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return ModelError(
        "model_missing",
        f"the hub does not give {_named(model, revision)}: {reason}",
        "check the id, the network and HF_HUB_OFFLINE; a gated model needs HF_TOKEN",
    )
