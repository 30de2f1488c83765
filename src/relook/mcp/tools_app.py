"""Tools of the window in which a person looks along: the agent proposes, the person decides.

They are there only for clients that show MCP Apps (`mcp.app_window`); all but `propose_marks` are
called by the window, and agents do not see them. Layer: mcp.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from mcp.types import CallToolResult, ImageContent
from pydantic import Field

from relook.core.errors import ImageError, NotFoundError, RelookError, counted
from relook.core.json_form import INLINE, PATH, Longest, Shortest
from relook.core.types import Box
from relook.library.session_rows import Caption, ImageId
from relook.library.session_values import Judgement
from relook.mcp import arguments as given
from relook.mcp.mcp_state import McpState
from relook.mcp.replies import SessionReply, content_of, quoted, reply, small_jpeg
from relook.mcp.short_replies import picture_bounds
from relook.search.explain import Influence, Moved, influence_of_proposed
from relook.search.judging import JudgementRequest
from relook.search.session import Session
from relook.serving.libraries import ServedLibrary
from relook.serving.schemas import Checked, answer_model

_MAX_PROPOSED, _MAX_PICTURES = 12, 16
_MAX_PX = 1280


@dataclass(frozen=True, slots=True)
class Proposal:
    """A mark that an agent would make.

    Args:
        image_id: An image of the library.
        relevant: Whether it shows what is looked for.
        box: The region that is meant, x0, y0, x1, y1 as fractions from the top left; null for the
            whole image.
        caption: A few words for what is in the box.
        reason: Why, in a few words for the person.
    """

    image_id: ImageId
    relevant: bool = True
    box: Box | None = None
    caption: Caption | None = None
    reason: Annotated[str, Longest(300)] = ""

    @property
    def request(self) -> JudgementRequest:
        """It as a judgement that somebody wants made; a box without words gets none."""
        return JudgementRequest(self.image_id, self.relevant, self.box, self.caption or "")


@dataclass(frozen=True, slots=True)
class ProposedMark:
    """A proposal, and what it would do.

    Args:
        proposal: What was proposed.
        path: Where its picture file was when it was indexed.
        raised: The images that it would move up most, were all proposals accepted.
        lowered: The images that it would move down most.
        does: The same in a few words.
    """

    proposal: Annotated[Proposal, INLINE]
    path: Annotated[bytes, PATH]
    raised: tuple[Moved, ...]
    lowered: tuple[Moved, ...]
    does: str


@dataclass(frozen=True, slots=True)
class ProposalReply:
    """A session's page with what is proposed for it; nothing of that counts yet.

    Args:
        session: The session as it is.
        proposals: In the order in which they were made.
    """

    session: Annotated[SessionReply, INLINE]
    proposals: tuple[ProposedMark, ...]


@dataclass(frozen=True, slots=True)
class JudgementReply:
    """A judgement as it is kept.

    Args:
        judgement: The judgement.
        why_no_words: Why its box has no caption.
    """

    judgement: Annotated[Judgement, INLINE]
    why_no_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A judgement that was taken back."""

    judgement_id: int


@dataclass(frozen=True, slots=True)
class NotShown:
    """A picture that cannot be shown now, and why."""

    image_id: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class WindowPictures:
    """Which images the pictures of an answer show.

    Args:
        library_id: Where they are.
        image_ids: Of the pictures, in their order.
        missing: Those that cannot be shown.
    """

    library_id: str
    image_ids: tuple[int, ...]
    missing: tuple[NotShown, ...]


_Proposals = Annotated[
    list[Annotated[Proposal, Checked("ProposedMark", strict=False)]],
    Shortest(1),
    Longest(_MAX_PROPOSED),
    Field(description="What you would mark, each with a reason that the person reads."),
]
_JudgementId = Annotated[given.Id, Field(description="A judgement of the session.")]
_Words = Annotated[str | None, Longest(2000), Field(description="A few words; null: as it is.")]


class AppTools:
    """The tools, each a method.

    Args:
        state: What they work on.
    """

    def __init__(self, state: McpState) -> None:
        self._state = state

    async def propose_marks(
        self, session_id: given.SessionId, marks: _Proposals, library_id: given.LibraryId = ""
    ) -> Annotated[CallToolResult, answer_model(ProposalReply)]:
        """Shows the person marks that you would make, with what each would move; none counts yet.

        The person accepts or vetoes each in a window and looks again with a click there. Prefer it
        to look_again when the person is present; look at pictures with show_images first, and go on
        when you hear what was decided.
        """
        return await self._state.pool.run(self._propose, session_id, marks, library_id)

    def _propose(
        self, session_id: str, proposals: list[Proposal], library_id: str
    ) -> CallToolResult:
        volume = self._state.volume(library_id)
        distinct = {proposal.request: proposal for proposal in proposals}  # one judgement each
        with volume.reading(session_id) as session:
            moved = influence_of_proposed(session, session.prepare(list(distinct)))
            shown = _shown(volume, session, list(distinct.values()), moved)
            answer = ProposalReply(SessionReply.of(volume, session), shown)
        marks_are = counted(len(shown), "mark is", "marks are")
        lines = [f"session {session_id}: {marks_are} shown to the person, none counts:"]
        lines += [_proposed_line(mark) for mark in shown]
        return reply("\n".join([*lines, "Wait for what the person decides."]), answer)

    async def page_pictures(
        self,
        image_ids: Annotated[
            list[given.ImageId], Field(min_length=1, max_length=_MAX_PICTURES, description="Which.")
        ],
        size_px: Annotated[
            int, Field(ge=32, le=_MAX_PX, description="Longest side of each at most.")
        ] = 360,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(WindowPictures)]:
        """Small JPEGs of images, for the window; those that cannot be shown are named with why."""
        return await self._state.pool.run(self._pictures, image_ids, size_px, library_id)

    def _pictures(self, image_ids: list[int], size_px: int, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        side_px, n_bytes = picture_bounds(len(image_ids))
        size_px, n_bytes = min(size_px, side_px), min(self._state.settings.picture_bytes, n_bytes)
        pictures: list[ImageContent] = []
        shown, missing = [], []
        for image_id in image_ids:
            try:
                record = volume.image(image_id)
                jpeg = small_jpeg(record, volume.library.limits, size_px, n_bytes)
            except (NotFoundError, ImageError) as error:
                missing.append(NotShown(image_id, error.code, error.message))
            else:
                shown.append(image_id)
                pictures.append(content_of(jpeg))
        answer = WindowPictures(volume.library_id, tuple(shown), tuple(missing))
        return reply(counted(len(shown), "picture"), answer, *pictures)

    async def judge(
        self,
        session_id: given.SessionId,
        image_id: given.ImageId,
        relevant: Annotated[bool, Field(description="Or irrelevant.")],
        box: given.Region = None,
        caption: _Words = None,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(JudgementReply)]:
        """Makes the person's mark; it counts from the next page on."""
        mark = JudgementRequest(image_id, relevant, box, caption)
        return await self._state.pool.run(self._judge, session_id, mark, library_id)

    def _judge(self, session_id: str, mark: JudgementRequest, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.session(session_id) as session:
            judging = session.prepare([mark], volume.caption)
            [judgement] = session.judge_all(judging)
        return _judged(judgement, judging.notes)

    async def change_judgement(
        self,
        session_id: given.SessionId,
        judgement_id: _JudgementId,
        relevant: Annotated[
            bool | None, Field(description="Or irrelevant; null: as it is.")
        ] = None,
        box: given.Region = None,
        caption: _Words = None,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(JudgementReply)]:
        """Changes a mark where it stands: its sign, its box, its words."""
        change = {"relevant": relevant, "box": box, "caption": caption}
        return await self._state.pool.run(
            self._change, session_id, judgement_id, change, library_id
        )

    def _change(
        self, session_id: str, judgement_id: int, change: dict[str, Any], library_id: str
    ) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.session(session_id) as session:
            session.revise(judgement_id, **change)
            try:  # a box that moved has lost the words that a captioner gave it
                return _judged(session.suggest_caption(judgement_id, volume.caption))
            except RelookError as error:
                return _judged(session.suggest_caption(judgement_id, ""), (error.message,))

    async def take_back(
        self,
        session_id: given.SessionId,
        judgement_id: _JudgementId,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(TakenBack)]:
        """Takes one mark back, whoever made it: the person's veto of what an agent marked."""
        return await self._state.pool.run(self._take_back, session_id, judgement_id, library_id)

    def _take_back(self, session_id: str, judgement_id: int, library_id: str) -> CallToolResult:
        with self._state.volume(library_id).session(session_id) as session:
            session.remove(judgement_id)
        return reply(f"judgement {judgement_id} is taken back", TakenBack(judgement_id))


def _judged(judgement: Judgement, notes: tuple[str, ...] = ()) -> CallToolResult:
    sign = "relevant" if judgement.relevant else "irrelevant"
    text = f"judgement {judgement.judgement_id}: image {judgement.image_id} is {sign}"
    return reply(text, JudgementReply(judgement, notes))


def _shown(
    volume: ServedLibrary,
    session: Session,
    proposals: Sequence[Proposal],
    moved: Sequence[Influence],
) -> tuple[ProposedMark, ...]:
    n = max(len(session.page), 1)
    return tuple(
        ProposedMark(
            proposal, volume.image(proposal.image_id).facts.path, influence.raised,
            influence.lowered, _does(influence, n),
        )
        for proposal, influence in zip(proposals, moved, strict=True)
    )  # fmt: skip


def _does(influence: Influence, n: int) -> str:
    """What a mark would do, as somebody sees it who looks at a page of `n` pictures."""
    moves = [*influence.raised, *influence.lowered]
    kinds = [move.seen(n) for move in moves if move.rank != move.rank_without]
    counted = {kind: kinds.count(kind) for kind in kinds}
    return "; ".join(f"{count} {kind}" for kind, count in counted.items()) or "moves nothing"


def _proposed_line(mark: ProposedMark) -> str:
    proposal = mark.proposal
    sign = "relevant" if proposal.relevant else "irrelevant"
    line = f"image_id {proposal.image_id}, {sign}"
    line += f", region {proposal.box.as_list()}" if proposal.box else ""
    line += f", {quoted(proposal.caption)}" if proposal.caption else ""
    return f"{line}: {mark.does}"
