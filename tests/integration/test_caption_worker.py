"""What the page hears of a box whose words could not be found."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import relook
from relook.core.errors import AnswerError
from relook.core.types import Box
from relook.search.session import Session
from relook.server.captions import CaptionWorker
from relook.testing import ColourEncoder, solid


class Heard:
    """A hub that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[dict] = []

    def send(self, topic: str, event: str, data: dict) -> None:
        self.events.append(data)


class Shelved:
    """What the worker needs of a volume."""

    library_id = "lib"

    def __init__(self, library: relook.Library) -> None:
        self.library = library

    def caption(self, crop: object, about: object) -> str:
        raise AnswerError("other_language", "no caption: the answer is not in English", "write it")

    @contextmanager
    def reading(self, session_id: str) -> Iterator[Session]:
        yield self.library.session(session_id, captions=False)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[relook.Library]:
    (tmp_path / "pictures").mkdir()
    solid("red").save(tmp_path / "pictures" / "red.png")
    with relook.Library(tmp_path / "lib", encoder=ColourEncoder()) as made:
        made.add(tmp_path / "pictures")
        yield made


def test_a_failure_is_told_with_its_reason_and_nobody_waits(library: relook.Library) -> None:
    heard = Heard()
    session = library.look("red", captions=False)
    one = session.judge(session.page[0], True, box=Box(0, 0, 0.5, 0.5))
    worker = CaptionWorker(heard)  # type: ignore[arg-type]
    worker._caption(Shelved(library), session.session_id, one.judgement_id)  # type: ignore[arg-type]
    worker.close()
    assert [(event["caption"], event["failure"]) for event in heard.events] == [
        (
            "",
            {
                "code": "other_language",
                "message": "no caption: the answer is not in English",
                "hint": "write it",
            },
        )
    ]
    assert session.judgements[0].caption == ""


def test_whoever_reads_the_empty_caption_finds_its_reason(
    library: relook.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = library.look("red", captions=False)
    one = session.judge(session.page[0], True, box=Box(0, 0, 0.5, 0.5))
    worker, shelved = CaptionWorker(Heard()), Shelved(library)  # type: ignore[arg-type]
    write = Session.suggest_caption
    read_at_once = []

    def written(self: Session, judgement_id: int, caption: object) -> object:
        captioned = write(self, judgement_id, caption)  # type: ignore[arg-type]
        read_at_once.append(worker.answer(shelved, session.session_id, captioned))  # type: ignore[arg-type]
        return captioned

    monkeypatch.setattr(Session, "suggest_caption", written)
    worker._caption(shelved, session.session_id, one.judgement_id)  # type: ignore[arg-type]
    worker.close()
    (answer,) = read_at_once
    assert answer.judgement.caption == ""
    assert answer.failure is not None
    assert answer.failure.code == "other_language"
