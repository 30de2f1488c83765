"""Opening a vision-language checkpoint with transformers. Layer: encoders.

For captioners and answerers alike; it stands here because loading is the encoders'.
"""

import importlib.util
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from relook.core.errors import InputError, MissingExtraError, ModelError
from relook.encoders.checkpoint import Checkpoint
from relook.encoders.devices import Place, place
from relook.encoders.torch_models import check_loaded, load_config, needs_package, quiet, reporting

_LOG = logging.getLogger(__name__)
QUANTISED = ("int8", "int4")
INT8_OR_AUTO = "int8-or-auto"
# Their processors take films, too, and transformers reads those with torchvision only.
_FILMS = ("video_preprocessor_config.json", "video_processor")


def load_processor(checkpoint: Checkpoint) -> Any:
    """The checkpoint's processor, on Pillow; it pads on the left, where models are asked.

    Raises:
        MissingExtraError: for a family whose processor needs torchvision.
        ModelError: `model_incomplete`.
    """
    import transformers

    auto: Any = transformers.AutoProcessor
    check_packages(checkpoint)
    try:
        with quiet():
            processor = auto.from_pretrained(
                checkpoint.folder, local_files_only=True, trust_remote_code=False, backend="pil"
            )
    except ImportError as error:
        raise needs_package(checkpoint, error) from error
    except Exception as error:  # a damaged file fails with nearly any exception
        raise ModelError(
            "model_incomplete",
            f"the processor of {checkpoint.model} cannot be opened: {error}",
            f"see which of its files are missing in {checkpoint.folder}",
        ) from error
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        raise _no_vlm(checkpoint)
    tokenizer.padding_side = "left"
    return processor


def check_packages(checkpoint: Checkpoint) -> None:
    """Refuses a checkpoint whose processor needs a package that is not there.

    Raises:
        MissingExtraError: naming it.
    """
    if _takes_films(checkpoint) and importlib.util.find_spec("torchvision") is None:
        raise MissingExtraError(
            "missing_extra",
            f"{checkpoint.model} ({checkpoint.family}) also takes films, for which transformers"
            " needs the package 'torchvision'",
            "pip install torchvision, of the version that belongs to your torch",
        )


def _takes_films(checkpoint: Checkpoint) -> bool:
    file = checkpoint.folder / "processor_config.json"
    inside = file.is_file() and f'"{_FILMS[1]}"' in file.read_text("utf-8")
    return inside or (checkpoint.folder / _FILMS[0]).is_file()


def load_vlm(checkpoint: Checkpoint, place: Place, dtype: str) -> Any:
    """The model in evaluation mode on its device.

    Args:
        checkpoint: Where it is.
        place: Where it runs.
        dtype: What was asked for; `int8` and `int4` need CUDA and bitsandbytes.

    Raises:
        InputError: `bad_dtype`; MissingExtraError; ModelError: as for `load_model`.
    """
    config = load_config(checkpoint)
    check_precision(place, dtype)
    options = _quantised(place, dtype) if dtype in QUANTISED else {"dtype": place.torch_dtype}
    import transformers

    auto: Any = transformers.AutoModelForImageTextToText
    if type(config) not in auto._model_mapping:
        raise _no_vlm(checkpoint)
    with reporting(checkpoint, place), quiet():
        model, info = auto.from_pretrained(
            checkpoint.folder, use_safetensors=True, local_files_only=True,
            trust_remote_code=False, output_loading_info=True, **options,
        )  # fmt: skip
        check_loaded(checkpoint, info)
        model = model.eval()
        return model if dtype in QUANTISED else model.to(place.device)


def check_precision(place: Place, dtype: str) -> None:
    """Refuses `int8` and `int4` where they cannot be.

    Raises:
        InputError: `bad_dtype` away from CUDA; MissingExtraError: without bitsandbytes.
    """
    if dtype not in QUANTISED:
        return
    if not place.device.startswith("cuda"):
        raise InputError(
            "bad_dtype",
            f"{dtype} needs a CUDA device; this would run on {place.device}",
            "set captioner.dtype ($RELOOK_CAPTIONER_DTYPE) to auto, float32 or bfloat16",
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError(
            "missing_extra",
            f"{dtype} needs the package 'bitsandbytes'",
            "pip install 'relook[quantized]'",
        )


def reachable_precision(device: str, dtype: str) -> str:
    """`int8` for `int8-or-auto` where it can be had, else `auto`; any other as it is.

    Raises:
        InputError: `bad_device`.
    """
    if dtype != INT8_OR_AUTO:
        return dtype
    try:
        check_precision(place(device, "float16"), "int8")
    except (InputError, MissingExtraError) as error:
        if error.code == "bad_device":
            raise
        tell_once(f"{error.message}; it goes on in the precision that is fast here")
        return "auto"
    return "int8"


@lru_cache(maxsize=8)
def tell_once(words: str) -> None:
    """Warns once a process: a captioner is opened to be checked, and again to be used."""
    _LOG.warning("%s", words)


def _quantised(place: Place, dtype: str) -> dict[str, Any]:
    import transformers

    config: Any = transformers.BitsAndBytesConfig
    if dtype == "int8":
        how = config(load_in_8bit=True)
    else:
        how = config(load_in_4bit=True, bnb_4bit_compute_dtype=place.torch_dtype)
    return {"quantization_config": how, "device_map": {"": place.device}}


def unmarked(processor: Any, text: str) -> str:
    """A text without the marks that mean something to the model, as `<image>` and `</s>`.

    The turn brings its own. A prompt of VisualReF has them, and what strangers wrote may try
    to begin a turn of its own.
    """
    marks = {*processor.tokenizer.get_added_vocab(), *processor.tokenizer.all_special_tokens}
    marks.add(str(getattr(processor, "image_token", None) or "<image>"))
    for mark in sorted(marks, key=len, reverse=True):
        if mark.strip() and not mark.isalnum():
            text = text.replace(mark, " ")
    return text


def _no_vlm(checkpoint: Checkpoint) -> ModelError:
    return ModelError(
        "unknown_family",
        f"{checkpoint.model} ({checkpoint.family}) is no model that writes about pictures",
        "use a vision-language model, for example llava-hf/llava-1.5-7b-hf",
    )


def chat_turn(processor: Any, parts: Sequence[str | None]) -> str:
    """One turn of a user, in the form that the checkpoint was trained on.

    Args:
        processor: Of the checkpoint.
        parts: Texts in order; None stands for a picture.
    """
    if getattr(processor, "chat_template", None) is None:
        mark = getattr(processor, "image_token", "<image>")
        text = "\n".join(mark if part is None else part for part in parts)
        return f"USER: {text} ASSISTANT:"
    content = [
        {"type": "image"} if part is None else {"type": "text", "text": part} for part in parts
    ]
    turn: str = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    return turn
