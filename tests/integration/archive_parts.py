"""Archives for tests, written member by member."""

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image


def picture(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def member(name: str, data: bytes | str | dict[str, object]) -> tuple[str, bytes]:
    if isinstance(data, dict):
        data = json.dumps(data)
    return name, data.encode() if isinstance(data, str) else data


def write_tar(path: Path, members: Mapping[str, bytes | str | dict[str, object]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in map(member, members, members.values()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_zip(
    path: Path, members: Mapping[str, bytes | str | dict[str, object]], method: int = 8
) -> Path:
    with zipfile.ZipFile(path, "w", method) as pack:
        for name, data in map(member, members, members.values()):
            pack.writestr(name, data)
    return path
