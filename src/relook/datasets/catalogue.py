"""The data sets that can be fetched: where they are, how large, their checksums. Layer: datasets.

Source: the COCO download page (cocodataset.org) and the Zenodo record 7970567. COCO names no
checksums; sizes and MD5 sums below are what several public projects that verify these files
agree on. For Zenodo, size and MD5 are read from the record itself when it is fetched.

Source of Retail-786k's labels: Lamm and Keuper, arXiv 2309.17164: the folder of a picture is its
entity, below the folders `train` and `test`.
"""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from relook.core.checksum import Checksum
from relook.core.errors import InputError
from relook.core.picture_paths import SUFFIXES

# The bucket's own TLS name: images.cocodataset.org has no certificate for itself.
_COCO = "https://s3.amazonaws.com/images.cocodataset.org"


@dataclass(frozen=True, slots=True)
class Archive:
    """One ZIP file.

    Args:
        url: Where it is.
        name: Its file name.
        n_bytes: Its size.
        md5: Its checksum; empty when its maker names none, and only the size is checked.
        keep: Begin of the members that are unpacked; all when empty.
        grows: At most so many times its size is unpacked.
    """

    url: str
    name: str
    n_bytes: int
    md5: str
    keep: tuple[str, ...] = ()
    grows: float = 1.2

    @property
    def checksum(self) -> Checksum | None:
        """What it sums up to."""
        return Checksum("MD5", self.md5) if self.md5 else None


@dataclass(frozen=True, slots=True)
class Dataset:
    """What one command fetches.

    Args:
        name: For messages and the record of what is there.
        archives: What is downloaded, in this order.
        pictures: Folder of the pictures in the target folder.
        metadata: Files for `relook index --metadata`, in the target folder.
        terms: Who may use it for what.
        record: Address of a Zenodo record that names the archive's size and checksum.
        file: Name of the archive in that record.
    """

    name: str
    archives: tuple[Archive, ...]
    pictures: str
    metadata: tuple[str, ...]
    terms: str
    record: str = ""
    file: str = ""


def _coco(split: str, archive: Archive, notes: Archive | None) -> Dataset:
    kinds = ("captions", "instances") if notes else ()
    return Dataset(
        f"coco-{split}",
        (archive, notes) if notes else (archive,),
        split,
        tuple(f"annotations/{kind}_{split}.json" for kind in kinds),
        "annotations CC BY 4.0; pictures under their Flickr licences",
    )


def _pictures(split: str, n_bytes: int, md5: str) -> Archive:
    return Archive(f"{_COCO}/zips/{split}.zip", f"{split}.zip", n_bytes, md5, (f"{split}/",))


def _notes(year: int, split: str, n_bytes: int, md5: str) -> Archive:
    name = f"annotations_trainval{year}.zip"
    keep = (f"annotations/captions_{split}.json", f"annotations/instances_{split}.json")
    return Archive(f"{_COCO}/annotations/{name}", name, n_bytes, md5, keep, grows=8.0)


_NOTES_2014 = (252_872_794, "0a379cfc70b0e71301e0f377548639bd")
_NOTES_2017 = (252_907_541, "f4bbac642086de4f52a3fdda2de5fa2c")

COCO: Mapping[str, Dataset] = MappingProxyType(
    {
        "train2014": _coco(
            "train2014",
            _pictures("train2014", 13_510_573_713, "0da8c0bd3d6becc4dcb32757491aca88"),
            _notes(2014, "train2014", *_NOTES_2014),
        ),
        "val2014": _coco(
            "val2014",
            _pictures("val2014", 6_645_013_297, "a3d79f5ed8d289b7a7554ce06a5782b3"),
            _notes(2014, "val2014", *_NOTES_2014),
        ),
        # COCO keeps the captions of its test split to itself.
        "test2014": _coco(
            "test2014",
            _pictures("test2014", 6_660_437_059, "04127eef689ceac55e3a572c2c92f264"),
            None,
        ),
        "val2017": _coco(
            "val2017",
            _pictures("val2017", 815_585_330, "442b8da7639aecaf257c1dceb8ba8c80"),
            _notes(2017, "val2017", *_NOTES_2017),
        ),
    }
)
"""COCO by split."""


def _retail(edge_px: int) -> Dataset:
    folder = f"retail-786k_{edge_px}"
    return Dataset(
        folder,
        (),
        folder,
        ("retail-786k-labels.csv",),
        "CC BY-NC-ND 4.0: not for commercial use, no changed versions",
        "https://zenodo.org/api/records/7970567",
        f"{folder}.zip",
    )


RETAIL: Mapping[int, Dataset] = MappingProxyType({256: _retail(256), 512: _retail(512)})
"""Retail-786k by the longer edge of its pictures, in pixels."""


def write_missing_labels(pictures: Path, sidecar: Path) -> int:
    """Writes the labels of a data set that was unpacked by hand; 0 when there is nothing to do.

    Args:
        pictures: A folder that is to be indexed.
        sidecar: Where a configuration says that its labels are.

    Raises:
        InputError: `no_labels`, as `write_labels`.
    """
    known = any(
        pictures.name == dataset.pictures and sidecar.name in dataset.metadata
        for dataset in RETAIL.values()
    )
    if not known or sidecar.exists() or not pictures.is_dir():
        return 0
    return write_labels(pictures, sidecar)


def write_labels(pictures: Path, sidecar: Path) -> int:
    """Writes lines path, entity, split of every picture; written whole or not at all.

    Args:
        pictures: The unpacked folder with `train` and `test`.
        sidecar: The CSV file, beside it.

    Returns:
        How many pictures have a label.

    Raises:
        InputError: `no_labels` when the folders are not laid out as published.
    """
    new = sidecar.with_name(sidecar.name + ".new")
    n_labels = 0
    try:
        with open(new, "w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["path", "entity", "split"])
            for split in ("train", "test"):
                for folder, below, names in os.walk(pictures / split):
                    below.sort()
                    entity = os.path.relpath(folder, pictures / split)
                    for name in sorted(names):
                        if entity != "." and os.path.splitext(name)[1].lower() in SUFFIXES:
                            path = os.path.relpath(os.path.join(folder, name), sidecar.parent)
                            lines.writerow([path, entity, split])
                            n_labels += 1
        if not n_labels:
            raise InputError(
                "no_labels",
                f"{pictures} has no pictures in train/ENTITY or test/ENTITY",
                "the archive is laid out otherwise than published; its pictures can be indexed"
                " without labels",
            )
        new.replace(sidecar)
    finally:
        new.unlink(missing_ok=True)
    return n_labels
