"""Vision-language checkpoints through transformers as captioners. Layer: captioners.

LLaVA, LLaVA-OneVision, Qwen-VL, SmolVLM and what else transformers opens as an
image-text-to-text model, asked in the checkpoint's own chat form; BLIP and Florence-2,
which have no chat and caption by themselves. The rules of loading are the encoders':
local files, safetensors, no code of the checkpoint, no random weights.

Source: Hugging Face transformers 5, `AutoModelForImageTextToText`, `AutoProcessor` and
`compute_transition_scores`; the LLaVA-1.5 model card for the form of a turn.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from relook.captioners.base import NOTHING_KNOWN, About, Cancelled, Captioned, Phrase, cancelled
from relook.captioners.wording import Prompt, clean, find_prompt, sized_prompt
from relook.core.errors import AnswerError
from relook.core.settings import CaptionerSettings
from relook.encoders.checkpoint import Checkpoint, find
from relook.encoders.devices import BatchSize, Place, in_batches, place
from relook.encoders.spec import ModelSpec
from relook.encoders.vision_language import (
    QUANTISED,
    chat_turn,
    check_packages,
    check_precision,
    load_processor,
    load_vlm,
    reachable_precision,
    unmarked,
)

if TYPE_CHECKING:
    from PIL import Image

# Families that caption without being asked, and what they get instead of a question.
_UNASKED = {"blip": "", "florence2": "<CAPTION>"}
_MIN_PX = 28  # a side below one patch of some towers; a strip is widened to it


class HfCaptioner:
    """A vision-language checkpoint of a folder or of the hub's cache.

    Args:
        model: Hub id (`llava-hf/llava-1.5-7b-hf`) or folder.
        revision: Of the hub; its main branch when empty.
        prompt: What it is asked; see `find_prompt`.
        device: As for `place`.
        dtype: As for `place`, or `int8` or `int4` where CUDA is; `int8-or-auto` takes int8 where
            it can be had, and otherwise says so and goes on with `auto`.

    Raises:
        ModelError: `model_missing`, `model_incomplete`, `no_safetensors`.
        InputError: `bad_device` or `bad_dtype`; MissingExtraError: a package is not there.
    """

    remote = False
    needs = ("model",)
    takes_prompt = True

    def __init__(
        self,
        model: str,
        *,
        revision: str = "",
        prompt: Prompt | str = "",
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        self.model, self.revision, self.device = model, revision, device
        self.prompt = prompt if isinstance(prompt, Prompt) else find_prompt(prompt)
        self.checkpoint: Checkpoint = find(model, revision)
        self.checkpoint.check()
        check_packages(self.checkpoint)
        self.dtype = reachable_precision(device, dtype)
        if self.dtype in QUANTISED:  # the others need no look at the device yet, which is slow
            check_precision(self.place, self.dtype)
        self._lock = threading.RLock()
        self._parts: tuple[Any, Any] | None = None

    @classmethod
    def open(cls, spec: str, settings: CaptionerSettings, prompt: str = "") -> HfCaptioner:
        """Opens the checkpoint `ORG/NAME?revision=...` or a folder.

        Raises:
            InputError: `bad_model` for another option.
        """
        model = ModelSpec.parse(f"hf:{spec}").with_options(revision=settings.revision or None)
        model.check_options(("revision",))
        return cls(
            model.model, **model.options, prompt=sized_prompt(prompt, settings),
            device=settings.device, dtype=settings.dtype,
        )  # fmt: skip

    @property
    def name(self) -> str:
        return f"hf:{self.model}"

    @cached_property
    def place(self) -> Place:
        """Where it runs."""
        return place(self.device, "float16" if self.dtype in QUANTISED else self.dtype)

    @cached_property
    def _batch(self) -> BatchSize:
        batch = BatchSize(16 if self.place.device.startswith("cuda") else 4)
        batch.settle()  # crops come by the handful: there is nothing to learn from
        return batch

    def caption(
        self,
        images: Sequence[Image.Image],
        limit: int = 1,
        about: About = NOTHING_KNOWN,
        stop: Cancelled | None = None,
    ) -> list[Captioned]:
        """See `Captioner.caption`. Several phrases are the beams of one search."""

        def run(batch: Sequence[Image.Image]) -> list[Captioned]:
            if stop is not None and stop():
                return [cancelled() for _ in batch]
            return self._caption(batch, limit, about, stop)

        return in_batches(list(images), run, self._batch, self.place)

    def _caption(
        self, batch: Sequence[Image.Image], limit: int, about: About, stop: Cancelled | None
    ) -> list[Captioned]:
        processor, model = self._open()
        with self._lock:  # a processor's padding and a model's cache are not for two threads
            inputs = self._inputs(processor, [_sized(image) for image in batch], about)
            inputs = inputs.to(self.place.device, self.place.torch_dtype)
            texts, scores = self._generate(processor, model, inputs, limit, stop)
        if stop is not None and stop():
            return [cancelled() for _ in batch]
        return [
            self._phrases(texts[at : at + limit], scores[at : at + limit])
            for at in range(0, len(texts), limit)
        ]

    def _inputs(self, processor: Any, images: list[Image.Image], about: About) -> Any:
        """Pictures with the same question each, as the processor makes them."""
        unasked = _UNASKED.get(self.checkpoint.family)
        if unasked == "":
            return processor(images=images, return_tensors="pt")
        turn = unasked or chat_turn(processor, [None, unmarked(processor, self.prompt.ask(about))])
        return processor(
            images=images, text=[turn] * len(images), padding=True, return_tensors="pt"
        )

    def _generate(
        self, processor: Any, model: Any, inputs: Any, limit: int, stop: Cancelled | None
    ) -> tuple[list[str], list[float]]:
        """What the model writes, `limit` texts a picture, and how probable each is."""
        import torch

        with torch.inference_mode():
            out = model.generate(
                **inputs, max_new_tokens=self.prompt.max_tokens, do_sample=False,
                num_beams=limit, num_return_sequences=limit, output_scores=True,
                return_dict_in_generate=True, stopping_criteria=_stopping(stop),
            )  # fmt: skip
            beams = getattr(out, "beam_indices", None)
            steps = model.compute_transition_scores(
                out.sequences, out.scores, beams, normalize_logits=beams is None
            )  # [n, steps]
        n_read = out.sequences.shape[1] - steps.shape[1]  # the question, where it is repeated
        written = out.sequences[:, n_read:]
        texts = processor.batch_decode(written, skip_special_tokens=True)
        likely = steps.float().cpu().numpy()
        finite = np.where(np.isfinite(likely), likely, 0.0)
        n_steps = np.maximum((finite != 0.0).sum(axis=1), 1)
        return texts, [float(score) for score in np.exp(finite.sum(axis=1) / n_steps)]

    def _phrases(self, texts: Sequence[str], scores: Sequence[float]) -> Captioned:
        """The different phrases of a crop, the most probable first; or the first failure."""
        best: dict[str, float] = {}
        failure: AnswerError | None = None
        for text, score in zip(texts, scores, strict=True):
            try:
                phrase = clean(text, self.prompt.max_words)
            except AnswerError as error:
                failure = failure or error
            else:
                best[phrase] = max(score, best.get(phrase, 0.0))
        if not best:
            assert failure is not None
            return failure
        ranked = sorted(best.items(), key=lambda item: -item[1])
        return [Phrase(text, score) for text, score in ranked]

    def _open(self) -> tuple[Any, Any]:
        with self._lock:
            if self._parts is None:
                processor = load_processor(self.checkpoint)
                model = load_vlm(self.checkpoint, self.place, self.dtype)
                self._parts = (processor, model)
            return self._parts

    def load(self) -> None:
        """Loads the model now, where a failure should come before any work.

        Raises:
            ModelError: `weights_missing`, `out_of_memory` and what else loading may raise.
        """
        self._open()

    def close(self) -> None:
        """Frees the model; closing twice is fine."""
        with self._lock:
            self._parts = None


def _stopping(stop: Cancelled | None) -> Any:
    """Ends the writing between two tokens once it is no longer wanted."""
    if stop is None:
        return None
    import torch
    from transformers import StoppingCriteriaList

    def ended(input_ids: torch.Tensor, scores: Any, **more: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), stop(), device=input_ids.device)

    return StoppingCriteriaList([ended])


def _sized(image: Image.Image) -> Image.Image:
    """A crop that no processor refuses: every side at least one patch long, no long strip."""
    width, height = image.size
    floor = max(_MIN_PX, max(width, height) // 100)
    if min(width, height) >= floor:
        return image
    return image.resize((max(width, floor), max(height, floor)))
