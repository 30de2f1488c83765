"""Tools that look again with feedback, and say why. Layer: mcp."""

from itertools import count
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from relook.core.errors import InputError
from relook.feedback.strategies import strategy as named_strategy
from relook.library.session_values import page_name
from relook.mcp import arguments as given
from relook.mcp.arguments import Wanted
from relook.mcp.mcp_state import McpState
from relook.mcp.replies import (
    Explanation,
    ProgressReports,
    SessionReply,
    SessionsReply,
    limit_of,
    page_text,
    quoted,
    reply,
)
from relook.search.completeness import Estimate
from relook.search.explain import Moved, influence
from relook.search.filtering import Filter
from relook.search.judging import JudgementRequest
from relook.search.session import Session
from relook.serving.libraries import ServedLibrary
from relook.serving.schemas import answer_model
from relook.serving.served_values import Why

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
        min_fit: given.MinFit = 0.0,
        name: Annotated[str, Field(max_length=200, description="What to call it.")] = "",
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(SessionReply)]:
        """Begins a search that learns from judgements; returns its first page and session_id.

        Then look at hits with show_images, judge some with look_again, and read the better page.
        Sessions are kept in the library, so a person can go on with one in the browser.
        """
        wanted = Wanted(words, image_ids, images, without)
        only = Filter(where, path or None, min_fit=min_fit)
        return await self._state.pool.run(self._begin, wanted, only, limit, name, library_id)

    def _begin(
        self, wanted: Wanted, only: Filter, limit: int, name: str, library_id: str
    ) -> CallToolResult:
        volume = self._state.volume(library_id)
        query = wanted.query(self._state.folders, volume.reads(None))
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
            bool | None,
            Field(
                description="Whether images of earlier pages may appear again; null: those that"
                " fit and are not judged stay."
            ),
        ] = None,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(SessionReply)]:
        """Judges images, or regions of them, and returns the session's next page.

        Judge what you have looked at. Two or three judgements of each kind already help; a box
        around the thing that matters says more than the whole image. All judgements so far count,
        every time from the first query on, so nothing drifts and undo takes any step back.
        """
        marks = [JudgementRequest(image_id, True) for image_id in relevant]
        marks += [JudgementRequest(image_id, False) for image_id in irrelevant]
        marks += boxes
        how = {
            "strategy": strategy or None, "limit": limit or None, "keep_shown": keep_shown,
            "relevant_words": relevant_words, "irrelevant_words": irrelevant_words,
        }  # fmt: skip
        reports = ProgressReports(ctx)
        shown = await self._state.pool.run(self._again, session_id, marks, how, library_id, reports)
        await reports.settled()
        return shown

    def _again(
        self, session_id: str, marks: list[JudgementRequest], how: dict[str, Any], library_id: str,
        reports: ProgressReports,
    ) -> CallToolResult:  # fmt: skip
        volume = self._state.volume(library_id)
        named_strategy(how["strategy"] or volume.library.feedback.strategy)
        done, total = count(1), sum(mark.box is not None for mark in marks) + 1
        with volume.session(session_id) as session:
            judging = session.prepare(
                marks, volume.caption, lambda: reports(next(done), total, "judged")
            )
            reports(total - 1, total, "looking again")
            session.again(judging=judging, **how)
            notes = [f"note: {note}" for note in judging.notes]
            lead = "\n".join([f"session {session_id}, {page_name(session.round.number)}", *notes])
            return _session_reply(volume, session, lead)

    async def show_session(
        self, session_id: given.SessionId, library_id: given.LibraryId = ""
    ) -> Annotated[CallToolResult, answer_model(SessionReply)]:
        """Shows a session's current page and every judgement that counts for the next one."""
        return await self._state.pool.run(self._show, session_id, library_id)

    def _show(self, session_id: str, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.reading(session_id) as session:
            return _session_reply(volume, session, f"session {session_id}")

    async def undo(
        self, session_id: given.SessionId, library_id: given.LibraryId = ""
    ) -> Annotated[CallToolResult, answer_model(SessionReply)]:
        """Takes a session's last step back: the newest judgement that waits, or else the page.

        The page is kept as a branch, and redo makes the step again.
        """
        return await self._state.pool.run(self._undo, session_id, library_id)

    def _undo(self, session_id: str, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.session(session_id) as session:
            undone = session.undo()
            return _session_reply(volume, session, f"session {session_id}: {undone}")

    async def redo(
        self, session_id: given.SessionId, library_id: given.LibraryId = ""
    ) -> Annotated[CallToolResult, answer_model(SessionReply)]:
        """Makes the step again that undo took back last, while no other was made since."""
        return await self._state.pool.run(self._redo, session_id, library_id)

    def _redo(self, session_id: str, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.session(session_id) as session:
            redone = session.redo()
            return _session_reply(volume, session, f"session {session_id}: {redone}")

    async def estimate(
        self,
        session_id: given.SessionId,
        limit: Annotated[int, Field(ge=0, le=100, description="Images to name for judging.")] = 8,
        passed_over: Annotated[
            bool,
            Field(description="Images without a mark on pages that were marked do not fit."),
        ] = True,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(Estimate)]:
        """Says how many pictures of the session's kind there are, and whether that was all.

        To find them all: judge what it names under to_judge (show_images, look_again), and ask
        again until it says that nine of ten are found.
        """
        return await self._state.pool.run(
            self._estimate, session_id, limit, passed_over, library_id
        )

    def _estimate(
        self, session_id: str, limit: int, passed_over: bool, library_id: str
    ) -> CallToolResult:
        with self._state.volume(library_id).reading(session_id) as session:
            made = session.estimate(limit, passed_over=passed_over)
        lines = [made.summary, *(f"note: {note}" for note in made.notes)]
        if made.to_judge:
            ids = ", ".join(str(candidate.image_id) for candidate in made.to_judge)
            lines.append(f"worth judging next: {ids}")
        return reply("\n".join(lines), made)

    async def list_sessions(
        self, offset: given.Offset = 0, library_id: given.LibraryId = ""
    ) -> Annotated[CallToolResult, answer_model(SessionsReply)]:
        """Lists the sessions of a library, newest first, to go on with one."""
        return await self._state.pool.run(self._list, offset, library_id)

    def _list(self, offset: int, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        answer = SessionsReply.of(volume, offset)
        rows = [link.row for link in answer.sessions]
        text = "\n".join(f"{row.session_id}: {quoted(row.name)}" for row in rows) or "none yet"
        return reply(text, answer)

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
    ) -> Annotated[CallToolResult, answer_model(Explanation)]:
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
            answer = Why.of(session, image_id, strategy)
        lines = [f"{reason.amount:+.3f} {quoted(reason.name)}" for reason in answer.reasons]
        text = "\n".join([f"image {image_id} scores {answer.score:.3f}:", *lines])
        return reply(
            text,
            Explanation(session_id, image_id=image_id, score=answer.score, reasons=answer.reasons),
        )

    def _influence(
        self, session_id: str, judgement_id: int, strategy: str | None, library_id: str
    ) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.reading(session_id) as session:
            moved = influence(session, judgement_id, strategy)
        lines = [
            f"judgement {judgement_id} moved, from rank to rank:",
            *(_moved_line("up", image) for image in moved.raised),
            *(_moved_line("down", image) for image in moved.lowered),
        ]
        return reply(
            "\n".join(lines),
            Explanation(
                session_id, judgement_id=judgement_id, raised=moved.raised, lowered=moved.lowered
            ),
        )


def _session_reply(volume: ServedLibrary, session: Session, lead: str) -> CallToolResult:
    return reply(page_text(session.page, lead), SessionReply.of(volume, session))


def _moved_line(way: str, image: Moved) -> str:
    return f"{way}: image_id {image.image_id}, {image.rank_without} to {image.rank}"
