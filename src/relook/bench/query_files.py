"""What is looked for: captions with their pictures, and queries with all that is relevant.

Layer: bench.

Sources: Karpathy and Fei-Fei (arXiv 1412.2306), `dataset_coco.json` and its kin; Hodosh et
al. 2013, `Flickr8k.token.txt`; Young et al. 2014, `results_20130124.token`; COCO's captions.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relook.core.errors import InputError, MetadataError
from relook.core.text_encoding import table_rows

_TOKEN = re.compile(r"(.+)#\d+\Z")
_FORMATS = (
    "lines image<TAB>caption, split<TAB>image<TAB>caption or image#number<TAB>caption, CSV or"
    " JSON lines with path and caption, COCO's captions JSON, or Karpathy's split JSON"
)
_PATH_KEYS = ("path", "file", "filename", "file_name", "image")  # as sidecar files have them


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption of one picture, which is known by its file name."""

    image: str
    text: str


@dataclass(frozen=True, slots=True)
class _Line:
    """A caption with the split that its file names; empty where it names none."""

    image: str
    text: str
    split: str = ""


def read_captions(file: Path, split: str | None = None) -> list[Caption]:
    """Reads captions of any of the usual layouts, told apart by what is in the file.

    Args:
        file: UTF-8 text: lines `image<TAB>caption` or `split<TAB>image<TAB>caption`, a token
            file of Flickr8k or Flickr30k, CSV or JSON lines with `path` and `caption` (and
            `split`; in JSON `captions`, a list, too), COCO's captions JSON, or Karpathy's split
            JSON.
        split: Keep the captions of this split only: a name that the file uses, or a file
            with one picture's name a line, as Flickr8k has its splits.

    Raises:
        MetadataError: `bad_captions` with the line that cannot be read, or when none is left.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError("bad_captions", f"cannot read {file}: {error}") from error
    lines = _reader(text)(file, text)
    captions = [Caption(line.image, line.text) for line in _chosen(lines, split) if line.text]
    if not captions:
        named = f" of split {split!r}" if split else ""
        raise MetadataError(
            "bad_captions",
            f"{file} has no captions{named}",
            "check --split, or leave it out" if split else "name a file with captions",
        )
    return captions


def _reader(text: str) -> Callable[[Path, str], Iterator[_Line]]:
    """What reads a file with this text."""
    first, _, rest = text.lstrip().partition("\n")
    if "\t" not in first and set(_PATH_KEYS) & set(first.strip().replace('"', "").split(",")):
        return _of_csv
    if not first.startswith("{"):
        return _of_lines
    return _of_json_lines if _is_row(first) and rest.lstrip()[:1] in ("{", "") else _of_json


def _is_row(line: str) -> bool:
    """Whether a line is a JSON object about one picture."""
    try:
        return bool(set(_PATH_KEYS) & json.loads(line).keys())
    except ValueError:
        return False


def _of_csv(file: Path, text: str) -> Iterator[_Line]:
    """A header that names the columns, and a row a caption."""
    for number, row in table_rows(file, text, _PATH_KEYS, "bad_captions"):
        yield from _of_row(file, number, row)


def _of_json_lines(file: Path, text: str) -> Iterator[_Line]:
    """An object a picture, or a caption."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            yield from _of_row(file, number, row)


def _of_row(file: Path, number: int, row: Any) -> Iterator[_Line]:
    """The captions of one row; other columns are somebody else's."""
    columns = row if isinstance(row, dict) else {}
    path = next((columns[key] for key in _PATH_KEYS if columns.get(key)), None)
    texts = columns.get("captions", columns.get("caption"))
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(path, str) or not isinstance(texts, list):
        raise MetadataError(
            "bad_captions", f"{file} line {number} is not a caption", f"it reads {_FORMATS}"
        )
    for text in texts:
        yield _Line(Path(path).name, str(text).strip(), str(columns.get("split") or ""))


def _chosen(lines: Iterator[_Line], split: str | None) -> Iterator[_Line]:
    if split is None:
        yield from lines
        return
    listed = _listed(Path(split))
    for line in lines:
        # A file of lines without splits is all of one.
        if line.image in listed if listed is not None else line.split in ("", split):
            yield line


def _listed(file: Path) -> set[str] | None:
    """The pictures that a file names, one a line; None when there is no such file."""
    if not file.is_file():
        return None
    try:
        return {Path(line.strip()).name for line in file.read_text("utf-8-sig").splitlines()}
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError("bad_captions", f"cannot read {file}: {error}") from error


def _of_lines(file: Path, text: str) -> Iterator[_Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) not in (2, 3) or not all(field.strip() for field in fields):
            raise MetadataError(
                "bad_captions", f"{file} line {number} is not a caption", f"it reads {_FORMATS}"
            )
        image = fields[-2].strip()
        token = _TOKEN.match(image) if len(fields) == 2 else None
        image = token[1] if token else image
        yield _Line(Path(image).name, fields[-1].strip(), fields[0] if len(fields) == 3 else "")


def _of_json(file: Path, text: str) -> Iterator[_Line]:
    try:
        values = json.loads(text)
        if "annotations" in values:
            return iter(list(_of_coco(values)))
        return iter(list(_of_karpathy(values)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MetadataError(
            "bad_captions", f"{file} holds no captions: {error!r}", f"it reads {_FORMATS}"
        ) from error


def _of_coco(values: dict[str, Any]) -> Iterator[_Line]:
    """`images` with names, `annotations` with captions."""
    names = {image["id"]: Path(str(image["file_name"])).name for image in values["images"]}
    for note in values["annotations"]:
        yield _Line(names[note["image_id"]], str(note["caption"]).strip())


def _of_karpathy(values: dict[str, Any]) -> Iterator[_Line]:
    """`images` with their split and sentences."""
    for image in values["images"]:
        name = Path(str(image["filename"])).name
        for sentence in image["sentences"]:
            yield _Line(name, str(sentence["raw"]).strip(), str(image["split"]))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Words and the files that are relevant to them.

    Args:
        words: The query.
        files: Names of the relevant files, as the data set writes them.
    """

    words: str
    files: tuple[str, ...]


def read_concepts(path: Path) -> list[Wanted]:
    """Multi-positive tasks from JSONL of `{"query": ..., "relevant": [file, ...]}`.

    Raises:
        InputError: `bad_benchmark_file` when it cannot be read, with the line that cannot.
    """
    wanted = []
    for number, line in enumerate(_lines_of(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            wanted.append(Wanted(str(row["query"]), tuple(map(str, row["relevant"]))))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                "bad_benchmark_file",
                f"line {number} of {path} is not a benchmark query",
                'each line looks like {"query": "red kite", "relevant": ["a.jpg", "b.jpg"]}',
            ) from error
    return wanted


def read_queries(path: Path) -> list[str]:
    """Queries, one a line; empty lines are left out.

    Raises:
        InputError: `bad_benchmark_file` when there is none, or the file cannot be read.
    """
    queries = [line.strip() for line in _lines_of(path) if line.strip()]
    if not queries:
        raise InputError("bad_benchmark_file", f"{path} has no queries", "write one a line")
    return queries


def _lines_of(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("bad_benchmark_file", f"cannot read {path}: {error}") from error


def known_items(captions: Iterable[Caption]) -> list[Wanted]:
    """Known-item tasks: each caption looks for the one picture that it describes."""
    return [Wanted(caption.text, (caption.image,)) for caption in captions]


def positions(wanted: Wanted, index: Mapping[str, int]) -> list[int]:
    """Positions of the files that the gallery holds; the others are left out."""
    return [index[file] for file in wanted.files if file in index]
