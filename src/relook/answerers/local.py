"""A transformers image-text model on this machine. Layer: answerers.

Loaded by the same rules as captioners: local files, safetensors, no code of the checkpoint,
no random weights. One prompt at a time; nothing leaves this process.

Source: Hugging Face transformers 5, `AutoModelForImageTextToText` and chat templates.
"""

from __future__ import annotations

import io
import threading
from typing import Any

from PIL import Image
from transformers import StoppingCriteria, StoppingCriteriaList, TextStreamer

from relook.answerers.base import Finish, Prompt, Reply, Shown, Tell, Usage
from relook.answerers.thinking import TEXT, Parting, is_mark, parted
from relook.core.retry import Deadline
from relook.core.settings import ModelSettings
from relook.encoders.checkpoint import find
from relook.encoders.devices import place
from relook.encoders.vision_language import chat_turn, load_processor, load_vlm, unmarked


class LocalAnswerer:
    """Asks a vision-language checkpoint.

    Args:
        model: Folder, or hub id of what is in the hub's cache.
        settings: Longest reply and patience; the rest is for services.

    Raises:
        ModelError, MissingExtraError: as for the captioner `hf`.
    """

    name = "hf"
    host = ""
    third_party = False
    remote = False
    needs = ("model",)

    def __init__(self, model: str, settings: ModelSettings | None = None) -> None:
        self.model, self._settings = model, settings or ModelSettings()
        self._checkpoint = find(model)
        self._checkpoint.check()
        self._place = place()
        self._lock = threading.Lock()
        self._parts: tuple[Any, Any] | None = None

    @classmethod
    def open(cls, spec: str, settings: ModelSettings) -> LocalAnswerer:
        """Opens a folder or a hub id; the weights are loaded by the first reply."""
        return cls(spec, settings)

    def reply(self, prompt: Prompt, tell: Tell | None = None) -> Reply:
        """See `Answerer.reply`."""
        with self._lock:  # one prompt at a time: the weights and their cache are shared
            processor, model = self._open()
            deadline = Deadline(self._settings.timeout_s)
            inputs = _inputs(processor, prompt).to(self._place.device, self._place.torch_dtype)
            streamer = _Streamer(processor.tokenizer, tell, deadline)
            n_read = int(inputs["input_ids"].shape[1])
            written = self._generate(model, inputs, streamer, deadline)[n_read:]  # [t]
            reply = parted(_without_marks(processor.decode(written), processor.tokenizer))
        finish = Finish.DONE
        if deadline.is_over:
            finish = Finish.CUT_OFF
        elif len(written) >= self._settings.max_tokens:
            finish = Finish.LENGTH
        notes: tuple[str, ...] = ()
        if not reply.text and finish in (Finish.DONE, Finish.LENGTH):
            more = "; raise --max-tokens" if finish is Finish.LENGTH else ""
            what = "it thought and wrote" if reply.thinking else "it wrote"
            finish, notes = Finish.EMPTY, (f"the model gave no answer: {what} nothing else{more}",)
        usage = Usage(n_read, len(written))
        return Reply(
            reply.text, finish, self.model, usage, took_s=deadline.took_s, first_s=streamer.first_s,
            thinking=reply.thinking, notes=notes,
        )  # fmt: skip

    def close(self) -> None:
        """Frees the model; closing twice is fine."""
        with self._lock:
            self._parts = None

    def _open(self) -> tuple[Any, Any]:
        if self._parts is None:
            processor = load_processor(self._checkpoint)
            self._parts = processor, load_vlm(self._checkpoint, self._place, "auto")
        return self._parts

    def _generate(self, model: Any, inputs: Any, streamer: _Streamer, deadline: Deadline) -> Any:
        """The tokens of prompt and reply [n]."""
        import torch

        warm = bool(self._settings.temperature)
        sampling = {"temperature": self._settings.temperature} if warm else {}
        with torch.inference_mode():
            return model.generate(
                **inputs, max_new_tokens=self._settings.max_tokens, do_sample=warm,
                streamer=streamer, stopping_criteria=StoppingCriteriaList([_TimeIsUp(deadline)]),
                **sampling,
            )[0]  # fmt: skip


class _Streamer(TextStreamer):
    """Passes each finished word on."""

    def __init__(self, tokenizer: Any, tell: Tell | None, deadline: Deadline) -> None:
        super().__init__(tokenizer, skip_prompt=True)
        self._tokenizer, self._parting = tokenizer, Parting()
        self._tell, self._deadline = tell, deadline
        self.first_s: float | None = None

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """See `TextStreamer`: `generate` calls this with the next piece."""
        pieces = self._parting.feed(_without_marks(text, self._tokenizer))
        for kind, piece in [*pieces, *(self._parting.finish() if stream_end else [])]:
            if kind == TEXT and self.first_s is None:
                self.first_s = self._deadline.took_s
            if self._tell:
                self._tell(kind, piece)


def _without_marks(text: str, tokenizer: Any) -> str:
    """Without the tokenizer's special tokens, apart from those that part thoughts from text."""
    for mark in tokenizer.all_special_tokens:
        if not is_mark(mark):
            text = text.replace(mark, "")
    return text


class _TimeIsUp(StoppingCriteria):
    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        import torch

        is_over = self._deadline.is_over
        return torch.full((len(input_ids),), is_over, dtype=torch.bool, device=input_ids.device)


def _inputs(processor: Any, prompt: Prompt) -> Any:
    """Pictures and text as the processor makes them.

    The system text leads the user's turn, since not every checkpoint has a turn for it.
    """
    parts = [
        unmarked(processor, part) if isinstance(part, str) else part
        for part in (prompt.system, *prompt.parts)
        if part
    ]
    turn = chat_turn(processor, [None if isinstance(p, Shown) else p for p in parts])
    images = [Image.open(io.BytesIO(p.data)).convert("RGB") for p in parts if isinstance(p, Shown)]
    return processor(images=images or None, text=[turn], return_tensors="pt")
