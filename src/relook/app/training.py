"""Training and measuring feedback, from names and settings to objects. Layer: app.

What a captioner says of whole pictures is kept on disk, so that it is asked once a picture: one
file of JSON lines a captioner, by the digest of a picture's file, so that libraries of the same
pictures share it. A picture without words is asked again the next time.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from relook.app.facade import Library
from relook.app.models import make_captioner
from relook.app.paths import PathLike, expanded
from relook.bench.query_files import read_captions
from relook.captioners.base import Captioner
from relook.core.errors import AnswerError, ImageError, InputError, disk_error
from relook.core.outputs import WEIGHTS, check_output
from relook.core.progress import Progress, ProgressCallback
from relook.core.registry import import_extra
from relook.core.settings import CaptionerSettings, ImageLimits, PromptSettings
from relook.library.files import LibraryFiles
from relook.library.manifest import Manifest, check_encoder
from relook.library.records import ImageRecord
from relook.search.summariser import AFS_FILE

if TYPE_CHECKING:
    from PIL import Image

    from relook.learning.course import Trained, TrainOptions

_LOG = logging.getLogger(__name__)
_AT_ONCE = 16


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
    check_output(target, WEIGHTS)
    return target


class PageCaptions:
    """Captions of whole pictures.

    Args:
        files: The open library.
        captioner: Opens it; called when a picture without a kept caption is met.
        name: Of the captioner and all that its words depend on.
        folder: Where captions are kept.
        progress: Called now and then.
    """

    def __init__(
        self,
        files: LibraryFiles,
        captioner: Callable[[], Captioner],
        name: str,
        folder: Path,
        progress: ProgressCallback | None = None,
    ) -> None:
        self._files, self._captioner, self._progress = files, captioner, progress
        self._file = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.jsonl"

    def __call__(self, image_ids: Sequence[int]) -> list[str]:
        """What is said of each image; empty where nothing is, or its picture cannot be read.

        Raises:
            RelookError: what opening the captioner raises.
            StorageError: when the disk refuses.
        """
        records = self._files.catalog.images(image_ids)
        kept = self._kept()
        wanted = {record.content: record for record in records if record.content.hex() not in kept}
        todo = list(wanted.values())
        for at in range(0, len(todo), _AT_ONCE):
            some = todo[at : at + _AT_ONCE]
            captions = self._said(some)
            self._keep(captions)
            kept |= captions
            if self._progress:
                self._progress(Progress("captioning", at + len(some), len(todo)))
        return [kept.get(record.content.hex(), "") for record in records]

    def _said(self, records: Sequence[ImageRecord]) -> dict[str, str]:
        """Digest of a picture -> its caption, for those that get one."""
        readable = []
        for record in records:
            try:
                readable.append((record, _picture(record, self._files.limits)))
            except ImageError as error:
                _LOG.warning("%s: %s", record.path, error)
        answers = self._captioner().caption([picture for _, picture in readable])
        captions = {}
        for (record, _), answer in zip(readable, answers, strict=True):
            if isinstance(answer, AnswerError):
                _LOG.warning("%s: %s", record.path, answer)
            else:
                captions[record.content.hex()] = answer[0].text
        return captions

    def _kept(self) -> dict[str, str]:
        """What the file holds; a line that was torn is left out."""
        kept = {}
        try:
            lines = self._file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return {}
        for line in lines:
            try:
                row = json.loads(line)
                kept[str(row["content"])] = str(row["caption"])
            except (ValueError, KeyError, TypeError):
                continue
        return kept

    def _keep(self, captions: dict[str, str]) -> None:
        lines = [json.dumps({"content": c, "caption": text}) + "\n" for c, text in captions.items()]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with open(self._file, "a", encoding="utf-8") as file:
                file.write("".join(lines))
        except OSError as error:
            raise disk_error(f"cannot write {self._file}", error) from error


def _picture(record: ImageRecord, limits: ImageLimits) -> Image.Image:
    from relook.core.images import load

    return load(record.path, 0, limits).image
