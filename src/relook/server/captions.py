"""Captions in the background: a judgement never waits for its words. Layer: server."""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from typing import Any

from relook.core.errors import NotFoundError, RelookError
from relook.library.session_table import Judgement
from relook.search.session import Session
from relook.server.events import Hub
from relook.server.views import judgement_view
from relook.serving.libraries import ServedLibrary

__all__ = ["CaptionWorker", "caption_topic", "is_waiting"]

_LOG = logging.getLogger(__name__)
_QUEUED = 512
_REMEMBERED = 512  # failures that are still told to who asks later
Task = tuple[ServedLibrary, str, int]


def caption_topic(volume: ServedLibrary, session_id: str) -> str:
    """What a stream of captions listens to."""
    return f"captions {volume.library_id} {session_id}"


def is_waiting(one: Judgement) -> bool:
    """Whether a judgement's caption is still to be written."""
    return one.box is not None and one.caption is None and one.caption_by == "captioner"


class CaptionWorker:
    """One thread that captions boxes in the order in which they were drawn.

    Args:
        hub: Who is told.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._tasks: queue.Queue[Task | None] = queue.Queue(_QUEUED)
        self._pending: set[tuple[str, str, int]] = set()
        self._failures: OrderedDict[tuple[str, str, int], dict[str, str]] = OrderedDict()
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="relook-captions", daemon=True)
        self._thread.start()

    def ask(self, volume: ServedLibrary, session_id: str, judgements: list[Judgement]) -> None:
        """Queues those that wait for a caption; a full queue leaves them for the next time."""
        for one in filter(is_waiting, judgements):
            key = (volume.library_id, session_id, one.judgement_id)
            with self._lock:
                if key in self._pending or self._stopping:
                    continue
                try:
                    self._tasks.put_nowait((volume, session_id, one.judgement_id))
                except queue.Full:
                    return
                self._pending.add(key)

    def view(self, volume: ServedLibrary, session_id: str, one: Judgement) -> dict[str, Any]:
        """A judgement, with the `failure` that left it without words, where one did."""
        told = judgement_view(one)
        with self._lock:
            failure = self._failures.get((volume.library_id, session_id, one.judgement_id))
        if failure is not None and one.caption == "" and one.caption_by == "captioner":
            told["failure"] = dict(failure)
        return told

    def _note(self, key: tuple[str, str, int], failure: dict[str, str] | None) -> None:
        with self._lock:
            self._failures.pop(key, None)
            if failure is not None:
                self._failures[key] = failure
            while len(self._failures) > _REMEMBERED:
                self._failures.popitem(last=False)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            volume, session_id, judgement_id = task
            if not self._stopping:
                self._caption(volume, session_id, judgement_id)
            # Not before: who asks meanwhile would have it captioned a second time, which takes
            # a failure for mended.
            with self._lock:
                self._pending.discard((volume.library_id, session_id, judgement_id))

    def _caption(self, volume: ServedLibrary, session_id: str, judgement_id: int) -> None:
        try:
            with volume.reading(session_id) as session:
                done, failure = self._suggest(volume, session, judgement_id)
                self._note((volume.library_id, session_id, judgement_id), failure)
        except NotFoundError:
            return  # it was taken back meanwhile
        except Exception:  # this is an edge: one caption must not end the others
            _LOG.exception("judgement %d gets no caption", judgement_id)
            return
        told = self.view(volume, session_id, done)
        self._hub.send(caption_topic(volume, session_id), "caption", told)

    def _suggest(
        self, volume: ServedLibrary, session: Session, judgement_id: int
    ) -> tuple[Judgement, dict[str, str] | None]:
        """The judgement with its words, or without any and with the reason."""
        try:
            return session.suggest_caption(judgement_id, volume.caption), None
        except NotFoundError:
            raise
        except (RelookError, OSError) as error:
            # An empty caption means "use no words": nobody waits for it any longer.
            _LOG.warning("judgement %d gets no caption: %s", judgement_id, error)
            code = getattr(error, "code", "unreadable")
            failure = {
                "code": code,
                "message": getattr(error, "message", str(error)),
                "hint": getattr(error, "hint", ""),
            }
            return session.suggest_caption(judgement_id, ""), failure

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
