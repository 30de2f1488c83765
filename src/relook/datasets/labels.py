"""Labels of a data set whose folders are its labels. Layer: datasets.

Source of Retail-786k's labels: Lamm and Keuper, arXiv 2309.17164: the folder of a picture is its
entity, below the folders `train` and `test`.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

from relook.core.errors import InputError
from relook.core.picture_paths import SUFFIXES
from relook.datasets.catalogue import RETAIL

__all__ = ["write_labels", "write_missing_labels"]


def write_missing_labels(pictures: Path, sidecar: Path) -> int:
    """Writes the labels of a data set that was unpacked by hand; 0 when there is nothing to do.

    Args:
        pictures: A folder that is to be indexed.
        sidecar: Where a configuration says that its labels are.

    Raises:
        InputError: `no_labels`, as `write_labels`.
    """
    known = any(
        pictures.name == one.pictures and sidecar.name in one.metadata for one in RETAIL.values()
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
