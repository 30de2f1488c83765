"""A folder as people have them: phones, cameras, scans, exports, trash, and what is no picture.

python tests/integration/every_folder.py FOLDER      # makes one, to try things on
"""

import gzip
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import tifffile
from archive_parts import picture, write_tar, write_zip
from camera_files import HEIC, dng
from PIL import Image
from video_files import film

from relook.testing import noise

TAKEOUT = {"photoTakenTime": {"timestamp": "1563107400"}, "description": "At the lake"}
NO_PICTURES = (
    "films/a.wmv", "films/b.MPG", "layers/c.psd", "drawings/d.svg", "documents/e.pdf", "old/f.rar",
    "notes.txt", "noext",
)  # fmt: skip
N_VIDEOS, N_SCENES = 2, 5
LEFT_OUT = ("$RECYCLE.BIN/1.png", "@eaDir/2.png", "node_modules/x/3.png", "quiet/4.png")
BROKEN = {
    "broken/empty.jpg": b"", "broken/page.jpg": b"<!DOCTYPE html>", "broken/film.heic": b"nothing",
    "broken/film.mov": b"nothing",
}  # fmt: skip


def make(folder: Path) -> dict[str, int]:
    """Makes the folder; returns how many files are indexed, skipped, left out, and others.

    Members of archives count as indexed, and the archives themselves as nothing.
    """
    for name in (*NO_PICTURES, "quiet/.nomedia"):
        _write(folder / name, b"x")
    for name, data in BROKEN.items():
        _write(folder / name, data)
    for seed, name in enumerate(LEFT_OUT):
        _write(folder / name, picture(noise(100 + seed)))
    _write(folder / "drafts" / "5.png", picture(noise(110)))
    (folder / ".relookignore").write_text("drafts/\n")
    _write_phone(folder / "phone")
    _write_live(folder / "phone")
    _write_scans(folder / "scans")
    film(folder / "videos" / "clip.mp4")
    film(folder / "videos" / "long.webm", ("yellow", "cyan"), scene_s=4.0)
    (folder / "archives").mkdir()
    write_zip(folder / "archives" / "a.zip", {"1.png": picture(noise(1))})
    write_tar(folder / "archives" / "b.tar", {"2.png": picture(noise(2))})
    packed = gzip.compress((folder / "archives" / "b.tar").read_bytes())
    (folder / "archives" / "b.tar").unlink()
    _write(folder / "archives" / "b.tgz", packed)
    with zipfile.ZipFile(folder / "archives" / "c.zip", "w") as pack:
        pack.writestr("3.png", picture(noise(3)))
    return {
        "indexed": 5 + 7 + 3 + N_SCENES, "skipped": len(BROKEN), "left_out": len(LEFT_OUT) + 3,
        "others": len(NO_PICTURES) + 2, "archives": 3 + N_VIDEOS,
    }  # fmt: skip


def _write_phone(folder: Path) -> None:
    _write(folder / "IMG_1.HEIC", HEIC)
    _write(folder / "IMG_2.DNG", dng(noise(4).resize((960, 640)), noise(5).resize((960, 640))))
    _write(folder / "IMG_3.jpg", picture(noise(6)))  # a PNG
    whole = _encoded(noise(7), folder / "IMG_4.jpg")
    _write(folder / "IMG_4.jpg", whole[:-2])
    _write(folder / "IMG_4.jpg.supplemental-metadata.json", json.dumps(TAKEOUT).encode())
    _write(folder / "IMG_3.xmp", b"<x/>")


def _write_live(folder: Path) -> None:
    """A Live Photo: a still, and a short video of its name."""
    _write(folder / "IMG_5.JPG", _encoded(noise(11), folder / "IMG_5.JPG"))
    film(folder / "IMG_5.MOV", ("red", "blue"), scene_s=1.0)


def _write_scans(folder: Path) -> None:
    folder.mkdir()
    deep = np.asarray(noise(8).convert("RGB")).astype(np.uint16) * 257
    tifffile.imwrite(folder / "deep.tif", deep, photometric="rgb")
    planes = np.moveaxis(deep // 3, -1, 0)
    tifffile.imwrite(folder / "planes.tif", planes, photometric="rgb", planarconfig="separate")
    tifffile.imwrite(folder / "float.tif", (deep / 65535).astype(np.float32), photometric="rgb")
    tifffile.imwrite(folder / "grey.tif", deep[..., 0] // 16)
    noise(9).convert("RGB").save(folder / "scan.tga")
    Image.new("1", (12000, 16000), 1).save(folder / "fax.tif", compression="group4")
    noise(10).convert("RGB").save(folder / "photo.jp2")


def _encoded(image: Image.Image, path: Path) -> bytes:
    image.convert("RGB").save(path, "JPEG")
    return path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(make(Path(sys.argv[1]))) + "\n")
