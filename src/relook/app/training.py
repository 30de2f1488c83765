"""Training and measuring feedback, from names and settings to objects. Layer: app."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from relook.app.facade import Library
from relook.app.models import make_captioner
from relook.app.paths import PathLike, expanded
from relook.bench.query_files import read_captions
from relook.core.errors import InputError
from relook.core.progress import ProgressCallback
from relook.core.registry import import_extra
from relook.core.settings import CaptionerSettings, PromptSettings
from relook.library.manifest import Manifest, check_encoder
from relook.search.page_captions import PageCaptions
from relook.search.summariser import AFS_FILE

if TYPE_CHECKING:
    from relook.learning.course import Trained, TrainOptions


def captions_of_pages(
    library: Library,
    captioner: CaptionerSettings | None = None,
    prompts: PromptSettings | None = None,
    progress: ProgressCallback | None = None,
) -> tuple[PageCaptions, str]:
    """What a captioner says of a library's pictures, kept for each person in the cache folder.

    Args:
        library: Whose pictures.
        captioner: Which; the built-in one when None.
        prompts: What it is asked.
        progress: Called while it captions.

    Returns:
        Image ids -> words, and the captioner's name.

    Raises:
        RelookError: as `make_captioner`.
    """
    chosen, asking = captioner or CaptionerSettings(), prompts or PromptSettings()
    opened = make_captioner(chosen, asking)
    settings = {
        key: asdict(chosen)[key] for key in ("revision", "dtype", "max_words", "max_tokens")
    }
    name = json.dumps([opened.name, getattr(opened, "revision", ""), settings, asdict(asking)])
    folder = platformdirs.user_cache_path("relook", appauthor=False) / "page-captions"
    return PageCaptions(library.files, lambda: opened, name, folder, progress), opened.name


def train_afs(
    library: Library,
    captions: PathLike | None = None,
    *,
    split: str | None = None,
    to: PathLike | None = None,
    options: TrainOptions | None = None,
    speak: PageCaptions | None = None,
    fresh: bool = False,
    progress: ProgressCallback | None = None,
) -> Trained:
    """Trains the strategy `afs` on a library's captioned pictures.

    Args:
        library: Of the pictures to train on, indexed with the encoder that it is for.
        captions: A file of captions, as `relook bench retrieval` reads them; the captions that
            the library has of its pictures when None.
        split: The captions of this split only.
        to: The file, or the library, that gets the weights; the same library when None.
        options: How; the paper's constants when None.
        speak: A captioner's words, which are read, too; see `captions_of_pages`.
        fresh: Forget what a run that was stopped has kept.
        progress: Called now and then.

    Raises:
        InputError: `no_captions`, `bad_afs_path`, `ambiguous_name`; MetadataError: `bad_captions`;
        EncoderMismatchError: `other_encoder` when `to` is a library of another one;
        MissingExtraError: without `relook[train]`; StorageError: when the disk refuses.
    """
    course = import_extra("relook.learning.course", "relook train afs", "train")
    lessons = import_extra("relook.learning.lessons", "relook train afs", "train")
    file = _file(library, to)
    engine = library.engine
    known = read_captions(expanded(captions), split) if captions else None
    trained: Trained = course.train_afs(
        engine,
        lessons.captions_of(engine, known),
        file,
        options,
        speak=speak,
        fresh=fresh,
        progress=progress,
    )
    return trained


def _file(library: Library, to: PathLike | None) -> Path:
    """Where the weights go; what cannot be is said before anything is trained."""
    target = library.folder if to is None else expanded(to)
    if Manifest.exists(target):
        check_encoder(Manifest.read(target), library.engine.encoder, target)
        return target / AFS_FILE
    if target.is_dir() or target.suffix != ".onnx":
        raise InputError(
            "bad_afs_path",
            f"{target} is no library, and no file that ends in .onnx",
            "name a library's folder, or a file such as afs.onnx",
        )
    return target
