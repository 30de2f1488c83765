"""Models by a short name: what they are good for, and where they come from. Layer: encoders.

Data, and the choice between a model's forms: its checkpoint for transformers, or its ONNX files.

Source: recall as published for the very weights, by their authors or by OpenCLIP's table of
retrieval results (each entry says which); languages and licence as the authors state them.
Megabytes are parameters times four bytes, or the sizes that the hub lists. Hub ids, layouts and
sizes of ONNX files were looked up in public pages and code in November 2026; nothing of them was
downloaded to measure it here. Milliseconds: `benchmarks/backbones.py`.
"""

import difflib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from relook.core.errors import InputError, MissingExtraError, ModelError, NotFoundError
from relook.encoders import ENCODERS, hub
from relook.encoders.spec import ModelSpec

_NEEDS = {"hf": "transformers", "onnx": "tokenizers"}
"""The package by which an extra of ours is known to be installed."""
_SIGLIP2_PAPER = "arXiv 2502.14786, table 1"
_OPENCLIP_TABLE = "mlfoundations/open_clip, docs/openclip_retrieval_results.csv"
_APPLE_RESULTS = "apple/ml-mobileclip, results/"
_APPLE_LICENCE = "Apple AMLR"
_MULTILINGUAL = "109 languages"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model.

    Args:
        shape: Of its image tower and input.
        n_mb: Megabytes on disk in float32, of both towers.
        languages: Of its words.
        recall: Share of COCO's 5,000 test pictures that are the first answer to a caption, in
            percent, as published; None where it is not.
        licence: Of the weights.
        ms: Milliseconds that its image tower takes for a picture; None where not measured.
        hf: Hub id for transformers; empty when there is none.
        onnx: Hub id of ONNX files, with options where it needs some; empty when there is none.
        source: Of the recall.
    """

    shape: str
    n_mb: int
    languages: str
    recall: float | None
    licence: str
    hf: str = ""
    onnx: str = ""
    source: str = ""
    ms: float | None = None

    @property
    def forms(self) -> dict[str, str]:
        """Hub ids, with options, by kind of encoder, in the order in which they are preferred."""
        return {kind: name for kind, name in (("hf", self.hf), ("onnx", self.onnx)) if name}


BUILTIN = KnownModel("Lite2, 224 px", 50, "English", None, "see NOTICE")
"""The model inside the package."""

KNOWN: Mapping[str, KnownModel] = MappingProxyType(
    {
        "mobileclip-s0": KnownModel(
            "S0, 256 px", 215, "English", 40.4, _APPLE_LICENCE,
            onnx="Xenova/mobileclip_s0", source=f"{_APPLE_RESULTS}mobileclip_s0.jsonl",
        ),
        "mobileclip2-s0": KnownModel(
            "S0, 256 px", 300, "English", 43.7, _APPLE_LICENCE,
            onnx="plhery/mobileclip2-onnx?size=s0", source=f"{_APPLE_RESULTS}mobileclip2_s0.jsonl",
        ),
        "mobileclip2-s2": KnownModel(
            "S2, 256 px", 397, "English", 48.8, _APPLE_LICENCE,
            onnx="plhery/mobileclip2-onnx?size=s2", source=f"{_APPLE_RESULTS}mobileclip2_s2.jsonl",
        ),
        "clip-base-32": KnownModel(
            "ViT-B/32, 224 px", 605, "English", 30.4, "MIT",
            "openai/clip-vit-base-patch32", "Xenova/clip-vit-base-patch32", _OPENCLIP_TABLE, ms=57,
        ),
        "openclip-base": KnownModel(
            "ViT-B/32, 224 px", 605, "English", 39.3, "MIT",
            onnx="immich-app/ViT-B-32__laion2b-s34b-b79k", source=_OPENCLIP_TABLE, ms=57,
        ),
        "clip-base-16": KnownModel(
            "ViT-B/16, 224 px", 599, "English", 33.1, "MIT",
            "openai/clip-vit-base-patch16", "Xenova/clip-vit-base-patch16", _SIGLIP2_PAPER,
        ),
        "clip-large": KnownModel(
            "ViT-L/14, 224 px", 1711, "English", 36.5, "MIT",
            "openai/clip-vit-large-patch14", "Xenova/clip-vit-large-patch14", _SIGLIP2_PAPER,
        ),
        "siglip-base": KnownModel(
            "ViT-B/16, 224 px", 813, "English", 47.2, "Apache-2.0",
            "google/siglip-base-patch16-224", "Xenova/siglip-base-patch16-224", _SIGLIP2_PAPER,
        ),
        "xlm-clip-base": KnownModel(
            "ViT-B/32, 224 px", 1464, "about 100 languages", 37.8, "MIT",
            onnx="immich-app/XLM-Roberta-Base-ViT-B-32__laion5b_s13b_b90k",
            source=_OPENCLIP_TABLE, ms=57,
        ),
        "siglip2-base": KnownModel(
            "ViT-B/16, 224 px", 1501, _MULTILINGUAL, 52.1, "Apache-2.0",
            "google/siglip2-base-patch16-224", "onnx-community/siglip2-base-patch16-224-ONNX",
            _SIGLIP2_PAPER,
        ),
        "siglip2-large": KnownModel(
            "ViT-L/16, 256 px", 3526, _MULTILINGUAL, 54.7, "Apache-2.0",
            "google/siglip2-large-patch16-256", "onnx-community/siglip2-large-patch16-256-ONNX",
            _SIGLIP2_PAPER,
        ),
        "siglip2-so400m": KnownModel(
            "ViT-So400m, 384 px", 4546, _MULTILINGUAL, 55.8, "Apache-2.0",
            "google/siglip2-so400m-patch14-384", "onnx-community/siglip2-so400m-patch14-384-ONNX",
            _SIGLIP2_PAPER,
        ),
    }
)  # fmt: skip
"""The models that have a short name, small ones first."""


def resolve(spec: ModelSpec, kept: ModelSpec | None = None) -> ModelSpec:
    """What a short name means here; any other spec as it is.

    A form that this machine can run and has the files of comes first, then one that it can run.

    Args:
        spec: As a person wrote it.
        kept: What a library keeps; the form that it was made with is the one that is meant.

    Raises:
        NotFoundError: `unknown_encoder` for a name that is neither a model's nor an adapter's.
        MissingExtraError: when no form can be run with what is installed.
    """
    known = KNOWN.get(spec.kind)
    if known is None and not spec.model and spec.kind not in ENCODERS:
        raise _unknown(spec.kind)
    if known is None or spec.model:
        return spec
    forms = {
        kind: ModelSpec.parse(f"{kind}:{name}").with_options(**spec.options)
        for kind, name in known.forms.items()
    }
    if kept is not None and kept.kind in forms and _is_same(forms[kept.kind], kept):
        return forms[kept.kind]
    runs = [form for kind, form in forms.items() if _is_installed(kind)]
    if not runs:
        raise MissingExtraError(
            "missing_extra",
            f"the model {spec.kind} needs packages that are not installed",
            " or ".join(f"pip install 'relook[{kind}]'" for kind in reversed(forms)),
        )
    return next((form for form in runs if is_here(form)), runs[0])


def _is_same(form: ModelSpec, other: ModelSpec) -> bool:
    """Whether two specs mean one model; a repository may hold several sizes."""
    sizes = (spec.options.get("size", "") for spec in (form, other))
    return form.model == other.model and len(set(sizes)) == 1


def _unknown(name: str) -> NotFoundError:
    names = [*ENCODERS.adapters(), *KNOWN]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
    return NotFoundError("unknown_encoder", f"no encoder is called {name!r}", hint)


def languages_of(spec: str) -> str:
    """What is known of the languages of an encoder's words; empty for nothing.

    Args:
        spec: As a library keeps it.
    """
    try:
        model = ModelSpec.parse(spec)
    except InputError:  # an encoder of somebody's own, under any name
        return ""
    if model.kind == "builtin":
        return BUILTIN.languages
    for known in KNOWN.values():
        form = known.forms.get(model.kind)
        if form and _is_same(ModelSpec.parse(f"{model.kind}:{form}"), model):
            return known.languages
    return ""


def _is_installed(kind: str) -> bool:
    return importlib.util.find_spec(_NEEDS[kind]) is not None


def is_here(spec: ModelSpec) -> bool:
    """Whether a model of the hub was fetched."""
    try:
        folder = hub.cached(spec.model, spec.options.get("revision", ""), spec.kind)
    except (ModelError, MissingExtraError):
        return False
    size = spec.options.get("size")
    return not size or (folder / "onnx" / size).is_dir()
