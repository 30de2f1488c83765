"""Every default in one place. Layer: core.

CLI flags, configuration keys and the docs table derive from these dataclasses; no other
module repeats a default. Each field's `help` is the text a person reads.
"""

from dataclasses import dataclass, field
from typing import Any


def setting(default: Any, text: str, **more: Any) -> Any:
    """A field of a settings class.

    Args:
        default: Its value where nobody says otherwise; a function is called for it.
        text: One line that a person reads.
        more: `low`, the smallest number; `choices`, all values there are; `shown`, what the
            documentation says of a default that each machine works out; `secret`, never shown.
    """
    facts = {"help": text, **more}
    shown = not facts.get("secret")
    if callable(default):
        return field(default_factory=default, repr=shown, metadata=facts)
    return field(default=default, repr=shown, metadata=facts)


def help_of(settings: type[Any], name: str) -> str:
    """The one-line description of a setting."""
    return str(settings.__dataclass_fields__[name].metadata["help"])


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a picture file may cost before it is refused."""

    max_pixels: int = setting(1_000_000_000, "largest picture, in pixels, that is opened at all")
    max_decoded_pixels: int = setting(
        128_000_000,
        "largest picture, in pixels of 3 bytes, after a JPEG's reduced scale is used",
    )
    max_file_bytes: int = setting(512 * 1024**2, "largest picture file, in bytes")
    develop_raw: bool = setting(
        False, "develop camera RAW from the sensor's values, not show the camera's own preview"
    )
    isolate: bool = setting(
        False, "decode every picture in a process with bounds, as those that strangers send are"
    )
    isolated_bytes: int = setting(
        2 * 1024**3, "memory, in bytes, that such a process may take", low=512 * 1024**2
    )
    isolated_s: float = setting(20.0, "seconds that a picture may take there", low=0.1)
    video_scenes: int = setting(40, "most scenes of a video that become images", low=1)
    video_s: float = setting(
        120.0, "seconds that a video may take; scenes found in part of them count", low=1
    )


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How pictures get into a library."""

    batch: int = setting(0, "pictures encoded at once; 0 means what suits the encoder", low=0)
    commit_every: int = setting(256, "pictures written in one transaction", low=1)
    workers: int = setting(0, "decoding threads; 0 means one a core, at most 32", low=0)
    readers: int = setting(
        0, "files read at once; 0 means as many as are decoded, more from a remote store", low=0
    )
    connections: int = setting(16, "requests to a remote store at once", low=1)
    hidden: bool = setting(False, "also index hidden files and folders")
    exclude: tuple[str, ...] = setting(
        (), "what is left out below each folder, as lines of a .gitignore"
    )
    default_excludes: bool = setting(
        True, "leave out trash, thumbnails, .nomedia folders, node_modules and the like"
    )
    retry_skipped: bool = setting(False, "try files again that were skipped before")
    text: bool = setting(
        False, "read the words that stand in pictures, too, once a picture (relook[ocr])"
    )
    reader: str = setting("rapidocr", "what reads them: rapidocr, or a plugin's name")


@dataclass(frozen=True, slots=True)
class RaySettings:
    """How a Ray cluster indexes pictures."""

    address: str = setting(
        "", "auto (the running cluster, or else this machine), local, or HOST:PORT; no Ray if empty"
    )
    workers: int = setting(0, "encoders at work at once; 0 means what the cluster has room for")
    shard: int = setting(256, "files handed to a worker at once", low=1)
    cpus: float = setting(1.0, "processor cores that a worker takes", low=0.1)
    gpus: float = setting(0.0, "GPUs that a worker takes; a part of one is fine", low=0)


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How a library is kept up to date while pictures come and go."""

    debounce_s: float = setting(1.0, "seconds in which changes are taken together", low=0.05)
    poll_s: float = setting(
        0.0, "seconds between looks at every file; 0 waits for the system to tell", low=0
    )
    remote_s: float = setting(
        60.0, "the same for what no system tells about: remote stores, folders that are away",
        low=0.1,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How a library is searched."""

    limit: int = setting(20, "how many images a page has", low=1)
    fold: bool = setting(True, "show near-duplicates as one hit")
    grammar: bool = setting(
        True, "read + - @, quotes, 'no people' and slips in a query; false: words as they stand"
    )
    fold_cosine: float = setting(0.94, "whole-picture cosine from which two may be duplicates")
    fold_bits: int = setting(6, "largest difference of two duplicates' 64-bit picture hashes")
    exact_rows: int = setting(60_000, "tiles up to which a search is exact, without an index")
    shortlist: int = setting(800, "most tiles scored again exactly after an index search", low=1)
    index_kind: str = setting(
        "auto", "index of a large library; auto: the fastest that the memory is enough for",
        choices=("auto", "exact", "pq4", "sq8", "pq2"),
    )  # fmt: skip
    memory_mib: int = setting(0, "memory that building an index may take; 0: no limit", low=0)

    def reads(self, grammar: bool | None) -> bool:
        """Whether a query's line has a grammar: as a call says, or else as it is configured."""
        return self.grammar if grammar is None else grammar


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What an exported session may hold when it is imported."""

    max_judgements: int = setting(5000, "most judgements in a session file", low=1)
    max_rounds: int = setting(1000, "most rounds in a session file", low=1)
    max_file_bytes: int = setting(16 * 1024**2, "largest session file, in bytes", low=1)


@dataclass(frozen=True, slots=True)
class WebLimits:
    """What fetching one address on the web may cost."""

    timeout_s: float = setting(10.0, "seconds from the first packet to the last byte", low=0.1)
    max_redirects: int = setting(5, "redirects that are followed", low=0)
    max_picture_bytes: int = setting(20 * 1024**2, "largest picture that is fetched, in bytes")
    max_page_bytes: int = setting(2 * 1024**2, "largest page that is fetched, in bytes")
    private_ok: bool = setting(
        False, "also fetch from this machine and private networks; never for a remote caller"
    )


@dataclass(frozen=True, slots=True)
class GatherSettings:
    """How providers are asked."""

    limit: int = setting(10, "matches asked of each provider", low=1)
    timeout_s: float = setting(30.0, "seconds until evidence is there, with what has arrived")
    budget_usd: float = setting(0.05, "dollars that one question may cost in all", low=0)
    retries: int = setting(2, "times a provider is asked again after a passing failure")
    backoff_s: float = setting(0.5, "seconds before the first retry; doubled for each further one")
    cache_age_s: float = setting(7 * 86_400.0, "seconds a recorded answer stays good; 0: no cache")
    fold_bits: int = setting(6, "largest difference of two matches' 64-bit picture hashes")


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """What of the matches becomes evidence."""

    items: int = setting(8, "numbered items at most", low=1)
    title_chars: int = setting(160, "characters of a title")
    text_chars: int = setting(300, "characters of a caption or snippet")
    pages: int = setting(0, "top pages whose text is fetched", low=0)
    page_chars: int = setting(800, "characters of a page's text")
    thumbnails: bool = setting(False, "fetch the matches' small pictures")
    verify: bool = setting(True, "compare matches' pictures point by point (relook[verify])")
    min_similarity: float | None = setting(
        None, "least likeness of a library's picture; 0.48 for the built-in encoder if unset"
    )


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How a model is asked."""

    base_url: str = setting(
        "", "an OpenAI-compatible service; $OPENAI_BASE_URL or OpenAI's own when empty"
    )
    max_tokens: int = setting(500, "longest reply, in tokens")
    temperature: float | None = setting(None, "randomness of the reply; the model's own if unset")
    timeout_s: float = setting(120.0, "seconds a reply may take, with waits and retries")
    retries: int = setting(3, "times a busy or failing service is asked again")
    backoff_s: float = setting(0.5, "seconds before the first retry; doubled for each further one")
    stream: bool = setting(True, "show the reply while it is written")


@dataclass(frozen=True, slots=True)
class AskSettings:
    """How a question is asked with evidence."""

    model: str = setting("evidence-only", "what answers: a model, or evidence-only for none")
    providers: tuple[str, ...] = setting(("library",), "which services look the picture up")
    when: str = setting(
        "always", "use evidence: always, never, auto (when the answer without it is unsure), or"
        " decide (when the model wants it)",
        choices=("always", "never", "auto", "decide"),
    )  # fmt: skip
    compare: bool = setting(False, "also answer without evidence, side by side")
    form: str = setting(
        "text", "how the model sees evidence", choices=("text", "sheet", "screenshot", "names")
    )
    picture_px: int = setting(1024, "longest side of the picture that a model gets", low=64)


@dataclass(frozen=True, slots=True)
class LibrarySettings:
    """Which library a command works on, and what it is made of."""

    folder: str = setting("", "library folder; one per user when empty")
    store: str = setting(
        "", "collection that holds a new library's vectors for several servers (milvus://...)"
    )
    pictures: tuple[str, ...] = setting((), "folders or files that relook index goes over")
    metadata: tuple[str, ...] = setting((), "CSV, JSONL or COCO JSON with titles and captions")


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """What turns pictures and words into vectors."""

    model: str = setting(
        "", "builtin, a name of relook model list, hf: or onnx: with ORG/NAME or FOLDER,"
        " builtin:FOLDER; the library's own when empty",
    )  # fmt: skip
    revision: str = setting("", "branch, tag or commit of the model on the hub")
    device: str = setting(
        "auto", "auto (the fastest there is), cpu, cuda, cuda:1, mps; for onnx: coreml, openvino"
    )
    dtype: str = setting("auto", "auto (what the device is fast at), float32, bfloat16 or float16")
    tiles: str = setting(
        "", "parts of a picture with vectors of their own; the encoder's choice when empty",
        choices=("", "none", "grid", "pyramid"),
    )  # fmt: skip
    decode: str = setting(
        "full", "every pixel of a file (full), or a JPEG's faster, reduced scales (reduced)",
        choices=("full", "reduced"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaptionerSettings:
    """What puts words to boxes."""

    model: str = setting(
        "",
        "what puts words to boxes: builtin, hf:ORG/NAME, hf:FOLDER or openai:MODEL@URL;"
        " the built-in one when empty",
    )
    revision: str = setting("", "branch, tag or commit of the model on the hub")
    device: str = setting("auto", "auto (the fastest there is), cpu, cuda, cuda:1 or mps")
    dtype: str = setting(
        "auto", "as for the encoder; int8 or int4 on CUDA; int8-or-auto: int8 where it can be had"
    )
    max_words: int = setting(0, "longest caption, in words; 0: as the prompt says", low=0)
    max_tokens: int = setting(0, "most that a captioner writes; 0: as the prompt says", low=0)
    allow_upload: bool = setting(
        False, "boxes that are drawn may be sent to a captioner on another machine"
    )


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """What a captioner is asked."""

    caption: str = setting(
        "", "about a box: short, query, retail, FILE.toml#NAME or the question; short when empty"
    )
    instruction: str = setting("", "what captions should tell, for sessions without their own")


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    """How marks change what is found."""

    strategy: str = setting("auto", "how marks are used, as relook look --strategy")
    query: float | None = setting(
        None, "weight of the query in a strategy of Rocchio's; the strategy's own if unset", low=0
    )
    relevant: float | None = setting(None, "the same for what was marked relevant", low=0)
    irrelevant: float | None = setting(None, "the same for what was marked irrelevant", low=0)
    rounds: str = setting(
        "", "refit from the first query, chained to the round before, fused: chained and averaged"
        " with the first query; the strategy's own when empty",
        choices=("", "refit", "fused", "chained"),
    )  # fmt: skip
    split_captions: bool = setting(
        False, "caption-rocchio reads 'red hat, dog' as two captions, parted at the comma"
    )
    lengths: bool = setting(
        False, "caption-rocchio weighs words by the lengths of the model's vectors, as VisualReF"
    )
    afs: str = setting(
        "", "weights of the strategy afs (relook train afs); afs.onnx in the library when empty"
    )
    keep_shown: bool = setting(False, "images that earlier pages showed may appear again")
    keep_fitting: bool = setting(
        True, "of those, the ones stay that fit and are not marked; nothing else comes again"
    )
    keep_judged: bool = setting(False, "images that were marked may appear again")
