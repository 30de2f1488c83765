"""Tools that look again with feedback, and say why. Layer: mcp."""

from __future__ import annotations

from itertools import count
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from relook.core.errors import InputError, NotFoundError
from relook.feedback.strategies import strategy as named_strategy
from relook.library.records import printable
from relook.mcp import arguments as given
from relook.mcp.examples import Wanted, box_of
from relook.mcp.progress import Telling
from relook.mcp.replies import limit_of, page_text, page_values, quoted, reply
from relook.mcp.shapes import ExplanationShape, SessionShape, SessionsShape
from relook.mcp.state import McpState
from relook.search.engine import Filter
from relook.search.explain import Moved, influence, why
from relook.search.judging import JudgementRequest
from relook.search.session import Session
from relook.serving.libraries import ServedLibrary

__all__ = ["SessionTools", "session_values"]

_Ids = Annotated[list[given.ImageId], Field(max_length=100)]


class SessionTools:
    """The tools, each a method; their docstrings are what agents read.

    Args:
        state: What they work on.
    """

    def __init__(self, state: McpState) -> None:
        self._state = state

    async def begin_session(
        self,
        words: given.Words = "",
        image_ids: given.ImageIds = [],
        images: given.Images = [],
        without: given.Without = [],
        where: given.Where = {},
        path: given.PathPattern = "",
        limit: given.Limit = 0,
        name: Annotated[str, Field(max_length=200, description="What to call it.")] = "",
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, SessionShape]:
        """Begins a search that learns from judgements; returns its first page and session_id.

        Then look at hits with show_images, judge some with look_again, and read the better page.
        Sessions are kept in the library, so a person can go on with one in the browser.
        """
        wanted = Wanted(words, image_ids, images, without)
        only = Filter(where, path or None)
        return await self._state.pool.run(self._begin, wanted, only, limit, name, library_id)

    def _begin(
        self, wanted: Wanted, only: Filter, limit: int, name: str, library_id: str
    ) -> CallToolResult:
        volume = self._state.volume(library_id)
        query = wanted.query(self._state.folders)
        session = volume.begin(query, limit_of(volume, limit), name.strip(), only)
        with volume.reading(session.session_id) as begun:
            return _session_reply(volume, begun, f"session {session.session_id}")

    async def look_again(
        self,
        ctx: Context[Any, Any],
        session_id: given.SessionId,
        relevant: Annotated[_Ids, Field(description="Images that are what is looked for.")] = [],
        irrelevant: Annotated[_Ids, Field(description="Images that are not.")] = [],
        boxes: given.Boxes = [],
        relevant_words: Annotated[
            str, Field(max_length=2000, description="What fits, in words; commas part several.")
        ] = "",
        irrelevant_words: Annotated[
            str, Field(max_length=2000, description="The same for what does not; without 'not'.")
        ] = "",
        strategy: given.StrategyName = "",
        limit: Annotated[int, Field(ge=0, le=100, description="0: as many as the first page.")] = 0,
        keep_shown: Annotated[
            bool | None, Field(description="Whether images of earlier pages may appear again.")
        ] = None,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, SessionShape]:
        """Judges images, or regions of them, and returns the session's next page.

        Judge what you have looked at. Two or three judgements of each kind already help; a box
        around the thing that matters says more than the whole image. All judgements so far count,
        every time from the first query on, so nothing drifts and undo takes any step back.
        """
        marks = [JudgementRequest(image_id, True) for image_id in relevant]
        marks += [JudgementRequest(image_id, False) for image_id in irrelevant]
        marks += [
            JudgementRequest(one.image_id, one.relevant, box_of(one.box), one.caption)
            for one in boxes
        ]
        how = {
            "strategy": strategy or None, "limit": limit or None, "keep_shown": keep_shown,
            "relevant_words": relevant_words, "irrelevant_words": irrelevant_words,
        }  # fmt: skip
        telling = Telling(ctx)
        shown = await self._state.pool.run(self._again, session_id, marks, how, library_id, telling)
        await telling.settled()
        return shown

    def _again(
        self, session_id: str, marks: list[JudgementRequest], how: dict[str, Any], library_id: str,
        telling: Telling,
    ) -> CallToolResult:  # fmt: skip
        volume = self._state.volume(library_id)
        named_strategy(how["strategy"] or volume.library.feedback.strategy)
        done, total = count(1), sum(one.box is not None for one in marks) + 1
        with volume.session(session_id) as session:
            judging = session.prepare(
                marks, volume.caption, lambda: telling(next(done), total, "judged")
            )
            telling(total - 1, total, "looking again")
            session.again(judging=judging, **how)
            notes = [f"note: {note}" for note in judging.notes]
            lead = "\n".join([f"session {session_id}, round {session.round.number}", *notes])
            return _session_reply(volume, session, lead)

    async def show_session(
        self, session_id: given.SessionId, library_id: given.LibraryId = ""
    ) -> Annotated[CallToolResult, SessionShape]:
        """Shows a session's current page and every judgement that counts for the next one."""
        return await self._state.pool.run(self._show, session_id, library_id)

    def _show(self, session_id: str, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.reading(session_id) as session:
            return _session_reply(volume, session, f"session {session_id}")

    async def undo(
        self, session_id: given.SessionId, library_id: given.LibraryId = ""
    ) -> Annotated[CallToolResult, SessionShape]:
        """Takes a session's last step back: the newest judgement that waits, or else the page."""
        return await self._state.pool.run(self._undo, session_id, library_id)

    def _undo(self, session_id: str, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.session(session_id) as session:
            told = session.undo()
            return _session_reply(volume, session, f"session {session_id}: {told}")

    async def list_sessions(
        self, library_id: given.LibraryId = ""
    ) -> Annotated[CallToolResult, SessionsShape]:
        """Lists the sessions of a library, newest first, to go on with one."""
        return await self._state.pool.run(self._list, library_id)

    def _list(self, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        rows = volume.library.sessions()
        listed = [
            {"session_id": row.session_id, "name": row.name, "created_s": row.created_s}
            for row in rows
        ]
        text = "\n".join(f"{row.session_id}: {quoted(row.name)}" for row in rows) or "none yet"
        return reply(text, {"library_id": volume.library_id, "sessions": listed})

    async def explain(
        self,
        session_id: given.SessionId,
        image_id: Annotated[
            given.ImageId | None, Field(description="An image of the current page.")
        ] = None,
        judgement_id: Annotated[
            int | None, Field(ge=1, description="A judgement of the session.")
        ] = None,
        strategy: given.StrategyName = "",
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, ExplanationShape]:
        """Says why: for an image of the current page, what raised and lowered it; for a
        judgement, which images it moved up and down most.

        Give exactly one of image_id and judgement_id. An image's amounts sum to its score.
        """
        run, way = self._state.pool.run, strategy or None
        if image_id is not None and judgement_id is None:
            return await run(self._why, session_id, image_id, way, library_id)
        if judgement_id is not None and image_id is None:
            return await run(self._influence, session_id, judgement_id, way, library_id)
        raise InputError("bad_request", "give exactly one of image_id and judgement_id")

    def _why(
        self, session_id: str, image_id: int, strategy: str | None, library_id: str
    ) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.reading(session_id) as session:
            hits = [hit for hit in session.page if hit.image_id == image_id]
            if not hits:
                raise NotFoundError(
                    "no_hit", f"image {image_id} is not on the current page", "see show_session"
                )
            found = why(session, hits[0], strategy)
        reasons = [
            {"name": one.name, "amount": round(one.amount, 6), "judgement_id": one.judgement_id}
            for one in found
        ]
        score = round(sum(one.amount for one in found), 6)
        lines = [f"{one.amount:+.3f} {quoted(one.name)}" for one in found]
        text = "\n".join([f"image {image_id} scores {score:.3f}:", *lines])
        values = {"session_id": session_id, "image_id": image_id, "score": score}
        return reply(text, {**values, "reasons": reasons})

    def _influence(
        self, session_id: str, judgement_id: int, strategy: str | None, library_id: str
    ) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.reading(session_id) as session:
            found = influence(session, judgement_id, strategy)
        text = "\n".join(
            [
                f"judgement {judgement_id} moved, from rank to rank:",
                *(_moved_line("up", one) for one in found.raised),
                *(_moved_line("down", one) for one in found.lowered),
            ]
        )
        values = {
            "session_id": session_id,
            "judgement_id": judgement_id,
            "raised": [_moved_values(one) for one in found.raised],
            "lowered": [_moved_values(one) for one in found.lowered],
        }
        return reply(text, values)


def session_values(volume: ServedLibrary, session: Session) -> dict[str, Any]:
    """A session's page as `relook refine --json` prints it, with its round."""
    now = session.round
    return {
        **page_values(volume, session.page),
        "round": now.number,
        "judgements": [one.as_dict() for one in session.judgements],
        "choice": now.record.get("choice") or {},
    }


def _session_reply(volume: ServedLibrary, session: Session, lead: str) -> CallToolResult:
    return reply(page_text(session.page, lead), session_values(volume, session))


def _moved_line(way: str, one: Moved) -> str:
    return f"{way}: image_id {one.image_id}, {one.rank_without} to {one.rank}"


def _moved_values(one: Moved) -> dict[str, Any]:
    return {**one.as_dict(), "path": printable(bytes(one.path))}
