"""Captions in the background: a judgement never waits for its words. Layer: server."""

import logging
import queue
import threading
from collections import OrderedDict

from relook.core.errors import NotFoundError, RelookError
from relook.library.session_values import Judgement
from relook.search.session import Session
from relook.server.api_answers import JudgementAnswer
from relook.server.events import Hub
from relook.serving.libraries import ServedLibrary
from relook.serving.served_values import ErrorBody, served

_LOG = logging.getLogger(__name__)
_QUEUED = 512
_REMEMBERED = 512  # failures that later answers still have
Task = tuple[ServedLibrary, str, int]
Key = tuple[str, str, int]  # library, session, judgement


def caption_topic(volume: ServedLibrary, session_id: str) -> str:
    """What a stream of captions listens to."""
    return f"captions {volume.library_id} {session_id}"


def is_waiting(judgement: Judgement) -> bool:
    """Whether a judgement's caption is still to be written."""
    has_no_words = judgement.caption is None and judgement.caption_by == "captioner"
    return judgement.box is not None and has_no_words


class CaptionWorker:
    """One thread that captions boxes in the order in which they were drawn.

    Args:
        hub: Sends each caption to the streams of its session.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._tasks: queue.Queue[Task | None] = queue.Queue(_QUEUED)
        self._pending: set[Key] = set()
        self._asked_again: set[Key] = set()  # of those, while they were being written
        self._failures: OrderedDict[Key, ErrorBody] = OrderedDict()
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="relook-captions", daemon=True)
        self._thread.start()

    def ask(self, volume: ServedLibrary, session_id: str, judgements: list[Judgement]) -> None:
        """Queues those that wait for a caption; a full queue leaves them for the next time."""
        for judgement in filter(is_waiting, judgements):
            key = (volume.library_id, session_id, judgement.judgement_id)
            with self._lock:
                if self._stopping:
                    return
                if key in self._pending:
                    self._asked_again.add(key)
                    continue
                try:
                    self._tasks.put_nowait((volume, session_id, judgement.judgement_id))
                except queue.Full:
                    return
                self._pending.add(key)

    def answer(
        self, volume: ServedLibrary, session_id: str, judgement: Judgement
    ) -> JudgementAnswer:
        """A judgement, with the failure that left it without words, where one did."""
        with self._lock:
            failure = self._failures.get((volume.library_id, session_id, judgement.judgement_id))
        is_empty = judgement.caption == "" and judgement.caption_by == "captioner"
        return JudgementAnswer(judgement, failure if is_empty else None)

    def _note(self, key: Key, failure: ErrorBody | None) -> None:
        with self._lock:
            self._failures.pop(key, None)
            if failure is not None:
                self._failures[key] = failure
            while len(self._failures) > _REMEMBERED:
                self._failures.popitem(last=False)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            volume, session_id, judgement_id = task
            key = (volume.library_id, session_id, judgement_id)
            if not self._stopping:
                self._caption(volume, session_id, judgement_id)
            # Only now: a request that came earlier would queue it a second time, and a second
            # attempt forgets the failure of the first.
            with self._lock:
                self._pending.discard(key)
                was_asked_again = key in self._asked_again
                self._asked_again.discard(key)
            if was_asked_again and not self._stopping:
                self._ask_if_waiting(volume, session_id, judgement_id)

    def _ask_if_waiting(self, volume: ServedLibrary, session_id: str, judgement_id: int) -> None:
        """Queues a judgement whose words were taken away again before its task had ended."""
        try:
            with volume.reading(session_id) as session:
                judgements = [
                    judgement
                    for judgement in session.judgements
                    if judgement.judgement_id == judgement_id
                ]
        except (RelookError, OSError) as error:
            _LOG.warning("judgement %d is not captioned again: %s", judgement_id, error)
            return
        self.ask(volume, session_id, judgements)

    def _caption(self, volume: ServedLibrary, session_id: str, judgement_id: int) -> None:
        try:
            with volume.reading(session_id) as session:
                captioned = self._suggest(volume, session, judgement_id)
        except NotFoundError:
            return  # it was taken back meanwhile
        except Exception:  # this is an edge: one caption must not end the others
            _LOG.exception("judgement %d gets no caption", judgement_id)
            return
        event = served(self.answer(volume, session_id, captioned))
        self._hub.send(caption_topic(volume, session_id), "caption", event)

    def _suggest(self, volume: ServedLibrary, session: Session, judgement_id: int) -> Judgement:
        """The judgement with its words, or without any; the reason is then noted."""
        key = (volume.library_id, session.session_id, judgement_id)
        try:
            captioned = session.suggest_caption(judgement_id, volume.caption)
            self._note(key, None)
            return captioned
        except NotFoundError:
            raise
        except (RelookError, OSError) as error:
            # An empty caption means "use no words": nobody waits for it any longer.
            _LOG.warning("judgement %d gets no caption: %s", judgement_id, error)
            failure = ErrorBody("unreadable", str(error), "")
            if isinstance(error, RelookError):
                failure = ErrorBody.of(error)
            # The reason comes first: whoever reads the empty caption finds it.
            self._note(key, failure)
            return session.suggest_caption(judgement_id, "")

    def close(self) -> None:
        """Waits for the caption in flight and drops the others; closing twice is fine."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            while not self._tasks.empty():
                self._tasks.get_nowait()
            self._tasks.put_nowait(None)
        self._thread.join(timeout=30)
