"""What a captioner says of whole pictures, kept on disk: it is asked once a picture. Layer: search.

One file of JSON lines a captioner, by the digest of a picture's file, so that libraries of the same
pictures share it. A picture without words is asked again the next time.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relook.captioners.base import Captioner
from relook.core.errors import AnswerError, ImageError, disk_error
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import ImageLimits
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord

if TYPE_CHECKING:
    from PIL import Image

_LOG = logging.getLogger(__name__)
_AT_ONCE = 16


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
