"""What people do with sessions: each step says whether it could be done."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import relook
from relook.core.errors import ImageError, NotFoundError, RelookError
from relook.core.types import Box
from relook.library.session_table import SessionTable
from relook.search.judging import JudgementRequest
from relook.search.session import Session
from relook.search.transfer import export_session

from .model import Model
from .model_values import BrokenError, Image, Mark, Round, SessionModel
from .world import World

NO_SUCH_IMAGE = 2**40


@dataclass(frozen=True)
class Exported:
    """A session in a file: its marks, and what their images showed."""

    marks: tuple[Mark, ...]
    pictures: Mapping[int, int]


def session_model(library: relook.Library, session_id: str) -> SessionModel:
    """A session as the library holds it."""
    table = SessionTable(library.files.catalog)
    rounds = [
        Round(row.number, row.parent, tuple(hit[0] for hit in row.hits))
        for row in table.rounds(session_id)
    ]
    marks = {}
    for row in table.judgements(session_id):
        box = None if row.box is None else tuple(row.box.as_list())
        marks[row.judgement_id] = Mark(
            row.judgement_id, row.image_id, row.relevant, box, row.caption, row.round, row.led_to
        )
    return SessionModel(session_id, table.get(session_id).current_round, rounds, marks)


class SessionSteps:
    """Steps that look again.

    Attributes:
        base: Where session files go.
        world, model, library: Of the life.
        exported: Sessions in files.
    """

    base: Path
    world: World
    model: Model
    library: relook.Library
    exported: dict[str, Exported]

    def begin(self, name: str, words: str) -> bool:
        """Begins a session."""
        if name in self.model.sessions or not self.model.here():
            return False
        session = self.library.look(words, limit=4, captions=False)
        made = session_model(self.library, session.session_id)
        self._check_page(made.rounds[0].hits)
        self.model.sessions[name] = made
        return True

    def _check_page(self, hits: tuple[int, ...]) -> None:
        away = set(hits) - set(self.model.here().values())
        if away and self.model.is_settled:
            raise BrokenError(f"a page shows images {sorted(away)}, which are not there")

    def mark(
        self, name: str, place: str, relevant: bool, box: tuple[float, ...] | None, caption: str
    ) -> bool:
        """Marks an image, or a box on it with a caption."""
        image_id = self.model.here().get(place)
        session = self.model.sessions.get(name)
        if image_id is None or session is None:
            return False
        if self.world.pictures().get(place) != self.model.images[image_id].picture:
            return False
        words = caption if box else None
        judged = self._open(session).judge(image_id, relevant, box=box, caption=words)
        waits = (image_id, box, session.current, None)
        same = [
            m for m in session.marks.values() if (m.image_id, m.box, m.round, m.led_to) == waits
        ]
        if same and same[0].judgement_id != judged.judgement_id:
            raise BrokenError(f"{place} is marked twice on a page")
        session.marks[judged.judgement_id] = Mark(
            judged.judgement_id, image_id, relevant, box, words, session.current
        )
        return True

    def _open(self, session: SessionModel) -> Session:
        return self.library.session(session.session_id, captions=False)

    def mark_wrongly(
        self, name: str, place: str, relevant: bool, box: tuple[float, ...] | None
    ) -> bool:
        """Marks an image, and in the same call one that there is not: nothing changes."""
        image_id, session = self.model.here().get(place), self.model.sessions.get(name)
        if image_id is None or session is None:
            return False
        good = JudgementRequest(image_id, relevant, None if box is None else Box(*box), "")
        try:
            self._open(session).judge_all([good, JudgementRequest(NO_SUCH_IMAGE, True)])
        except (NotFoundError, ImageError):  # the file may be gone by now
            return True
        raise BrokenError("an image that there is not was marked")

    def edit_caption(self, name: str, at: int, words: str) -> bool:
        """Changes the words of a mark."""
        session = self.model.sessions.get(name)
        if session is None or len(session.marks) <= at:
            return False
        mark = sorted(session.marks.values(), key=lambda m: m.judgement_id)[at]
        self._open(session).edit_caption(mark.judgement_id, words)
        session.marks[mark.judgement_id] = replace(mark, caption=words)
        return True

    def again(self, name: str) -> bool:
        """Looks again with what was marked."""
        session = self.model.sessions.get(name)
        if session is None or not self.model.here():
            return False
        self._open(session).again("rocchio")
        number = max(page.number for page in session.rounds) + 1
        for mark in session.marks.values():
            if mark.round == session.current and mark.led_to is None:
                session.marks[mark.judgement_id] = replace(mark, led_to=number)
        page = session_model(self.library, session.session_id).rounds[-1]
        self._check_page(page.hits)
        session.rounds.append(Round(number, session.current, page.hits))
        session.current = number
        return True

    def drop(self, name: str) -> bool:
        """Removes a session."""
        session = self.model.sessions.pop(name, None)
        if session is None:
            return False
        self._open(session).delete()
        return True

    def export(self, name: str, file: str) -> bool:
        """Writes a session to a file."""
        session = self.model.sessions.get(name)
        if session is None:
            return False
        values = export_session(self._open(session))
        (self.base / file).write_text(json.dumps(values))
        images = self._kept_images()
        kept = {mark.image_id for mark in session.marks.values()} & images.keys()
        if lost := kept - set(map(int, values["images"])):
            raise BrokenError(f"an exported session lacks images {sorted(lost)}")
        marks = tuple(session.marks.values())
        self.exported[file] = Exported(marks, {i: images[i].picture for i in kept})
        return True

    def import_session(self, file: str, name: str) -> bool:
        """Reads a session from a file: its marks are on images that show what they did."""
        if file not in self.exported or name in self.model.sessions:
            return False
        try:
            session, _ = self.library.import_session(self.base / file)
        except RelookError:  # none of its pictures, or a box on one that cannot be read now
            return True
        made = session_model(self.library, session.session_id)
        pictures = {image.picture for image in self._kept_images().values()}
        exported = self.exported[file]
        expected = sorted(
            (exported.pictures[mark.image_id], mark.relevant, mark.box or (), mark.caption or "")
            for mark in exported.marks
            if exported.pictures.get(mark.image_id) in pictures
        )
        marks = sorted(
            (self._picture(mark.image_id), mark.relevant, mark.box or (), mark.caption or "")
            for mark in made.marks.values()
        )
        if [m for m in expected if m not in marks]:
            raise BrokenError(f"an imported session has marks {marks}, and not {expected}")
        self.model.sessions[name] = made
        return True

    def _kept_images(self) -> dict[int, Image]:
        """Images of the library, and deleted ones that a mark or words refer to."""
        referred = self.model.referred()
        images = self.model.images.items()
        return {i: image for i, image in images if image.state != "gone" or i in referred}

    def _picture(self, image_id: int) -> int:
        image = self.model.images.get(image_id)
        return 0 if image is None else image.picture
