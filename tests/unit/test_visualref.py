"""VisualReF's configuration files: every key becomes a setting, a note, or is named as unknown."""

import tomllib
from pathlib import Path

import pytest

from relook.captioners.base import About
from relook.captioners.wording import clean, find_prompt, sized_prompt
from relook.compat.visualref import read_old, translate
from relook.core.errors import InputError
from relook.core.settings import CaptionerSettings

# Made here with the keys of VisualReF's files.
DEMO = """
IMAGE_CORPUS_PATH: "data/coco/"
INDEX_PATH: "faiss/coco/openai/clip-vit-base-patch32/image_index.faiss"
VLM_MODEL_FAMILY: "clip"
VLM_MODEL_NAME: "openai/clip-vit-base-patch32"
IMG_SIZE: 224
PATCH_SIZE: 32
SHOW_IMAGE_GALLERY: True
SHOW_ANNOTATORS: True
FUSE_INITIAL_QUERY: False
TOP_K: 5
RETRIEVAL_LOGS_PATH: "logs/retrieval_logs.json"
"""
CAPTIONING = """
MODEL_FAMILY: "llava"
MODEL_ID: "llava-hf/llava-1.5-7b-hf"
USE_8BIT: true
DEVICE: "cuda:1"
PROMPT: "Say \\"what\\" it is.\\nBriefly."
"""


def test_both_files_become_one_configuration(tmp_path: Path) -> None:
    demo, captioning = tmp_path / "demo.yaml", tmp_path / "llava.yaml"
    demo.write_text(DEMO)
    captioning.write_text(CAPTIONING)
    told = translate(read_old(demo), read_old(captioning))
    assert tomllib.loads(told.toml()) == {
        "library": {
            "folder": "faiss/coco/openai/clip-vit-base-patch32/library.relook",
            "pictures": ["data/coco/"],
        },
        "encoder": {
            "model": "hf:openai/clip-vit-base-patch32", "tiles": "none", "dtype": "float32",
        },
        "search": {"limit": 5, "fold": False, "grammar": False, "index_kind": "exact"},
        "captioner": {
            "model": "hf:llava-hf/llava-1.5-7b-hf", "dtype": "int8-or-auto", "device": "cuda:1",
            "max_words": 100, "max_tokens": 100,
        },
        "prompts": {"caption": 'Say "what" it is.\nBriefly.'},
        "feedback": {
            "strategy": "caption-rocchio", "rounds": "chained", "split_captions": True,
            "lengths": True, "keep_shown": True, "keep_fitting": False,
            "keep_judged": True,
        },
    }  # fmt: skip
    assert told.unknown == []
    noted = {note.split(":")[0] for note in told.notes}
    assert noted >= {
        "INDEX_PATH", "VLM_MODEL_FAMILY", "MODEL_FAMILY", "IMG_SIZE", "PATCH_SIZE",
        "SHOW_IMAGE_GALLERY", "SHOW_ANNOTATORS", "FUSE_INITIAL_QUERY", "RETRIEVAL_LOGS_PATH",
    }  # fmt: skip
    (index,) = [note for note in told.notes if note.startswith("INDEX_PATH")]
    assert "relook import faiss faiss/coco/openai/clip-vit-base-patch32 " in index
    assert "--encoder hf:openai/clip-vit-base-patch32" in index


def test_an_env_file_with_quotes_and_comments(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "# theirs\nexport VLM_MODEL_NAME='google/siglip-base-patch16-256'\n\nTOP_K=7 # hits\n"
        'USE_8BIT=false\nCONFIG_PATH="a b.yaml"\n'
    )
    told = translate(read_old(file))
    feedback = {key for key in told.settings if key.startswith("feedback.")}
    assert {key: value for key, value in told.settings.items() if key not in feedback} == {
        "encoder.model": "hf:google/siglip-base-patch16-256", "encoder.tiles": "none",
        "encoder.dtype": "float32", "search.limit": 7, "search.fold": False,
        "search.grammar": False, "search.index_kind": "exact",
    }  # fmt: skip
    assert told.settings["feedback.rounds"] == "fused"
    assert told.notes[0] == "CONFIG_PATH: read that file too: relook config import FILE"


def test_what_is_not_known_is_named() -> None:
    told = translate({"VLM_MODEL_FAMILY": "blip2", "learning_rate": 1, "MY_KEY": 2})
    assert told.unknown == ["MY_KEY"]
    assert "no family 'blip2'" in told.notes[1]
    assert "AFS" in told.notes[0]
    assert told.settings == {}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.yaml", "- a\n- b\n", "holds no keys"),
        ("a.yaml", "a: [", "is not YAML"),
        ("a.yaml", "a: !!python/object/apply:os.system [ls]", "is not YAML"),
        ("a.yaml", "", "holds no keys"),
        ("x.env", "what is this\n", "line 1 is not KEY=VALUE"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=told) as raised:
        read_old(tmp_path / name)
    assert raised.value.code == "bad_config"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_old(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_text("#" * (1024**2 + 1))
    with pytest.raises(InputError, match="larger than 1 MiB"):
        read_old(tmp_path / "big.yaml")


def test_a_number_that_is_none_is_an_error() -> None:
    with pytest.raises(InputError, match="TOP_K"):
        translate({"TOP_K": "many"})


def test_a_prompt_leaves_the_turn_of_llava_behind() -> None:
    told = translate({"PROMPT": "USER: <image>\nFewer than 5 words: what is it?\nASSISTANT:"})
    assert told.settings["prompts.caption"] == "Fewer than 5 words: what is it?"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("The user wants {}. This is {}.", "The user wants {query}. This is {label}."),
        ("It is {1} for {0}, {0}.", "It is {label} for {query}, {query}."),
        ("Write {{braces}} about {}.", "Write {braces} about {query}."),
        ("What is it, in 5-10 words?", "What is it, in 5-10 words?"),
    ],
)
def test_places_of_a_prompt_get_names(theirs: str, ours: str) -> None:
    assert translate({"PROMPT": theirs}).settings["prompts.caption"] == ours


def test_a_translated_prompt_is_asked_with_the_query_and_the_label() -> None:
    settings = translate({"MODEL_ID": "x/y", "PROMPT": "For {}: {}?"}).settings
    prompt = find_prompt(settings["prompts.caption"])
    assert prompt.ask(About("a {label}", relevant=False)) == "For a {label}: irrelevant?"


@pytest.mark.parametrize(
    ("theirs", "ours", "note"),
    [
        ("{} and {} and {}", "{query} and {label} and {}", "more places"),
        ("For {2}: what?", "For {2}: what?", "more places"),
        ("{!r} as {1:>9}", "{query} as {label}", "to be formatted"),
        ("Write {{query}} here", "Write {query} here", "double braces"),
        ("Bad { brace", "Bad { brace", "do not pair"),
        ("For {}?", "For {query}?", "lower case"),
        ("Describe", "Describe.", "gets a dot"),
        ("short", "short.", "gets a dot"),
        ("a.toml", "a.toml.", "gets a dot"),
        ("What?", "What?", ""),
        ("{}", "{query}", "lower case"),
        (" ", "short", "there is none"),
        (None, "short", "there is none"),
        ("USER: <image> ASSISTANT:", "short", "there is none"),
    ],
)
def test_any_prompt_is_asked_or_what_is_lost_is_told(
    theirs: str | None, ours: str, note: str
) -> None:
    told = translate({"MODEL_ID": "x/y", "PROMPT": theirs})
    assert told.settings["prompts.caption"] == ours
    notes = [line for line in told.notes if line.startswith("PROMPT")]
    assert any(note in line for line in notes) if note else not notes
    prompt = find_prompt(ours)
    assert prompt.text == (ours if ours != "short" else find_prompt("").text)


def test_keys_without_a_value_are_as_if_they_were_not_there() -> None:
    empty = dict.fromkeys(
        ("TOP_K", "PROMPT", "DEVICE", "USE_8BIT", "IMAGE_CORPUS_PATH", "INDEX_PATH", "MODEL_FAMILY")
    )
    for nothing in (None, "", " "):
        told = translate(
            {"VLM_MODEL_NAME": "a/b", "MODEL_ID": "x/y"}, dict.fromkeys(empty, nothing)
        )
        assert told.settings == translate({"VLM_MODEL_NAME": "a/b", "MODEL_ID": "x/y"}).settings
    # Theirs reads an empty one as false, and a missing one as true.
    told = translate({"VLM_MODEL_NAME": "a/b", "FUSE_INITIAL_QUERY": None})
    assert told.settings["feedback.rounds"] == "chained"


def test_a_summarizer_is_one_note_and_paths_may_have_blanks() -> None:
    told = translate(
        {"pooler_config": {}, "text_dim_local": 1, "max_epochs": 2, "IMAGE_CORPUS_PATH": ["a", "b"],
         "INDEX_PATH": "my faiss/image.faiss"}
    )  # fmt: skip
    assert [note.split(":")[0] for note in told.notes if "AFS" in note] == [
        "pooler_config, text_dim_local, max_epochs"
    ]
    assert told.settings["library.pictures"] == ["a", "b"]
    assert any("faiss 'my faiss' 'my faiss/library.relook' " in note for note in told.notes)


def test_what_a_search_reads_otherwise_is_told() -> None:
    notes = translate({"VLM_MODEL_NAME": "a/b"}).notes
    assert any("search.grammar" in note for note in notes)
    assert any("sRGB" in note for note in notes)


def test_captions_are_not_cut_shorter_than_theirs() -> None:
    settings = translate({"MODEL_ID": "x/y", "PROMPT": "Describe it in 5-10 words."}).settings
    chosen = CaptionerSettings(
        max_words=settings["captioner.max_words"], max_tokens=settings["captioner.max_tokens"]
    )
    prompt = sized_prompt(settings["prompts.caption"], chosen)
    said = "two blue boats near the street, with a white dog"
    assert clean(said, prompt.max_words) == said
    assert (prompt.max_words, prompt.max_tokens) == (100, 100)
