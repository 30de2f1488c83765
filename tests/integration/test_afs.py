"""The strategy `afs` and the paper's protocol, from training to pages, with the colour encoder."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mcp_parts
import numpy as np
import onnx
import pytest
import torch
from afs_parts import SMALL, by_command, captions, library, pictures  # noqa: F401  (some are fixtures)
from mcp_parts import call
from server_parts import serving

import relook
from relook.app.training import train_afs
from relook.bench.query_files import Caption
from relook.cli.main import main
from relook.core.errors import EncoderMismatchError, InputError, ModelError, NotFoundError
from relook.core.progress import Progress
from relook.core.settings import FeedbackSettings
from relook.core.vectors import unit
from relook.learning.attentive import Attentive, Size, write_afs
from relook.mcp import McpState, create_server
from relook.search.explain import why
from relook.search.summariser import OnnxSummariser, summariser_of
from relook.testing import ColourEncoder


def test_from_training_to_a_page(
    library: relook.Library, pictures: Path, by_command: Callable[..., dict]
) -> None:
    session = library.look("red blue", limit=4)
    with pytest.raises(NotFoundError, match="no trained weights") as raised:
        session.again("afs")
    assert (raised.value.code, "relook train afs" in raised.value.hint) == ("no_afs", True)
    assert len(session.rounds) == 1  # nothing is lost by it
    made = by_command(
        "train", "afs", "--captions", pictures / "captions.tsv", "--epochs", "2"
    )  # fmt: skip
    assert made["file"] == str(library.folder / "afs.onnx")
    assert (made["n_pictures"], made["n_captions"], made["n_held_out"]) == (28, 56, 3)
    assert made["encoder"] == ColourEncoder().fingerprint.digest
    assert sorted(path.name for path in library.folder.glob("afs*")) == ["afs.onnx"]
    page = session.again("afs")  # the same session sees them
    assert (session.round.strategy, len(page)) == ("afs", 4)
    shares = {reason.name: reason.amount for reason in why(session, page[0], "afs")}
    assert set(shares) == {
        "red blue", "summary of the first page", "first page, little regarded"
    }  # fmt: skip
    assert sum(shares.values()) == pytest.approx(page[0].score, abs=1e-3)
    refined = by_command("refine", session.session_id, "--relevant", "1", "--strategy", "afs")
    assert len(refined["hits"]) == 4
    names = [part.name for part in library.session(session.session_id).fitted("afs").scorer.parts]
    assert names == ["query", "summary of relevant"]
    known = summariser_of(library.files, ColourEncoder().fingerprint).facts
    assert known["trained"]["n_pictures"] == 28
    assert known["fingerprint"] == ColourEncoder().fingerprint.as_dict()


def test_weights_can_be_somewhere_else(
    library: relook.Library, captions: list[Caption], pictures: Path, tmp_path: Path
) -> None:
    file = tmp_path / "kept" / "mine.onnx"
    made = train_afs(library, pictures / "captions.tsv", to=file, options=SMALL)
    assert (made.file, file.is_file()) == (file, True)
    assert not (library.folder / "afs.onnx").exists()
    feedback = FeedbackSettings(strategy="afs", afs=str(file))
    with relook.Library(library.folder, encoder=ColourEncoder(), feedback=feedback) as opened:
        assert len(opened.look("red", limit=3).again()) == 3
    with pytest.raises(InputError, match="no library, and no file that ends in"):
        train_afs(library, pictures / "captions.tsv", to=tmp_path, options=SMALL)
    other = tmp_path / "other"
    with relook.Library(other, encoder=ColourEncoder(revision="2")) as made_by_another:
        made_by_another.add(pictures)
    with pytest.raises(EncoderMismatchError) as raised:
        train_afs(library, pictures / "captions.tsv", to=other, options=SMALL)
    assert raised.value.code == "other_encoder"


def test_what_a_library_knows_of_its_pictures_is_enough(pictures: Path, tmp_path: Path) -> None:
    rows = [line.split("\t") for line in (pictures / "captions.tsv").read_text().split("\n")]
    sidecar = tmp_path / "words.jsonl"
    sidecar.write_text("\n".join(json.dumps({"path": n, "caption": c}) for n, c in rows))
    with relook.Library(tmp_path / "lib", encoder=ColourEncoder()) as library:
        library.add(pictures, metadata=sidecar)
        made = train_afs(library, options=SMALL)  # one caption each: the picture alone is aimed at
        assert (made.n_pictures, made.n_captions, made.to_captions) == (28, 28, 0.0)
        assert library.look("red", limit=2).again("afs")


def test_the_file_computes_what_the_formula_says(tmp_path: Path) -> None:
    torch.manual_seed(3)
    dim, size, file = 16, Size(width=12, heads=3, depth=2), tmp_path / "afs.onnx"
    model = Attentive(dim, size)
    write_afs(model, ColourEncoder().fingerprint, {}, file)
    weights = {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}
    random = np.random.default_rng(0)
    reads = OnnxSummariser(file, ColourEncoder().fingerprint)
    for n in (1, 5, 40):
        query, vectors = unit(random.normal(size=dim)), unit(random.normal(size=(n, dim)))
        is_text, counts = random.random(n) < 0.4, random.uniform(0.1, 3, n)
        summary, attention = reads(query, vectors, is_text, counts)
        expected = formula(weights, size, query, vectors, is_text, counts)
        np.testing.assert_allclose(summary, expected[0], atol=1e-5)
        np.testing.assert_allclose(attention, expected[1], atol=1e-5)
    without = reads(query, vectors[:-1], is_text[:-1], counts[:-1])
    ignored = reads(query, vectors, is_text, np.append(counts[:-1], 0.0))
    np.testing.assert_allclose(ignored[0], without[0], atol=1e-5)  # what counts nothing is not read


def formula(
    weights: dict[str, np.ndarray], size: Size, query: np.ndarray, vectors: np.ndarray,
    is_text: np.ndarray, counts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Multi-head attention of one query, written out: keys and values of every token."""

    def through(name: str, values: np.ndarray) -> np.ndarray:
        return values @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)

    def normal(name: str, values: np.ndarray) -> np.ndarray:
        centred = values - values.mean(-1, keepdims=True)
        spread = np.sqrt(values.var(-1, keepdims=True) + 1e-5)
        return centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    memory = np.where(is_text[:, None], through("text", vectors), through("vision", vectors))
    state, each = through("text", query), size.width // size.heads
    for at in range(size.depth):
        block = f"blocks.{at}"
        read = normal(f"{block}.memory", memory)
        asked = through(f"{block}.query", normal(f"{block}.before", state))
        keys, values = through(f"{block}.key", read), through(f"{block}.value", read)
        mixed, attentions = [], []
        for head in range(size.heads):
            own = slice(head * each, (head + 1) * each)
            shares = counts * np.exp(keys[:, own] @ asked[own] / np.sqrt(each))
            attentions.append(shares / shares.sum())
            mixed.append(attentions[-1] @ values[:, own])
        state = state + through(f"{block}.out", np.concatenate(mixed))
        wide = torch.from_numpy(through(f"{block}.up", normal(f"{block}.between", state)))
        state = state + through(f"{block}.down", torch.nn.functional.gelu(wide).numpy())
    summary = through("joint", normal("last", state))
    return summary / np.linalg.norm(summary), np.mean(attentions, axis=0)


def test_weights_that_do_not_fit_are_refused(library: relook.Library, tmp_path: Path) -> None:
    file = library.folder / "afs.onnx"
    model = Attentive(16, Size(8, 2, 1))
    session = library.look("red", limit=3)
    write_afs(model, ColourEncoder(revision="2").fingerprint, {}, file)
    with pytest.raises(EncoderMismatchError, match="was trained for colour 2") as raised:
        session.again("afs")
    assert (raised.value.code, "relook train afs" in raised.value.hint) == ("other_encoder", True)
    write_afs(model, ColourEncoder().fingerprint, {}, file)
    whole = file.read_bytes()
    assert len(session.again("afs")) == 3
    file.write_bytes(whole[: len(whole) // 2])
    for content in (whole[: len(whole) // 2], b"", b"no graph at all"):
        file.write_bytes(content)
        with pytest.raises(ModelError, match="is no trained summariser") as torn:
            session.again("afs")
        assert (torn.value.code, "train" in torn.value.hint) == ("bad_afs", True)
    other = onnx.load_from_string(whole)
    del other.metadata_props[:]
    file.write_bytes(other.SerializeToString())
    with pytest.raises(ModelError, match="does not say what it was trained for"):
        session.again("afs")
    assert len(session.rounds) == 2


def test_the_page_and_an_agent_are_told_what_to_run(
    library: relook.Library, tmp_path: Path
) -> None:
    with serving(library, cache=tmp_path / "cache") as running:
        ways = running.http.get("/api/v1/strategies").json()["strategies"]
        assert "relook train afs" in {way["name"]: way["summary"] for way in ways}["afs"]
        begun = running.post("/sessions", {"query": "red"}).json()
        rounds = f"/sessions/{begun['session_id']}/rounds"
        refused = running.post(rounds, {"strategy": "afs"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "no_afs")
        assert "relook train afs" in refused.json()["error"]["hint"]
        agent = create_server(McpState([library], caption=mcp_parts.say_green))
        asked = {"session_id": begun["session_id"], "strategy": "afs"}
        told = call(agent, "look_again", **asked)
        assert told.is_error
        assert "relook train afs" in told.content[0].text
        model = Attentive(16, Size(8, 2, 1))
        write_afs(model, ColourEncoder().fingerprint, {}, library.folder / "afs.onnx")
        made = running.post(rounds, {"strategy": "afs"}).json()
        assert made["round"]["strategy"] == "afs"
        assert not call(agent, "look_again", **asked).is_error


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_captions"), ("red-blue.png\t \n", "bad_captions"),
        ("elsewhere.png\tred\n", "no_captions"), ("black-red.png\tred\n", "no_captions"),
    ],
)  # fmt: skip
def test_too_few_captions_are_refused(
    text: str, code: str, tmp_path: Path, by_command: Callable[..., dict]
) -> None:
    (tmp_path / "c.tsv").write_text(text)
    refused = by_command("train", "afs", "--captions", tmp_path / "c.tsv", code=1)
    assert (refused["error"]["code"], bool(refused["error"]["hint"])) == (code, True)


def test_a_library_without_captions_is_refused(by_command: Callable[..., dict]) -> None:
    assert by_command("train", "afs", code=1)["error"]["code"] == "no_captions"
    assert main(["train", "afs", "--split", "train"]) == 2


def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    def train(name: str, **more: object) -> dict[str, np.ndarray]:
        file = tmp_path / name
        train_afs(library, pictures / "captions.tsv", to=file, options=SMALL, **more)  # type: ignore[arg-type]
        graph = onnx.load(str(file)).graph
        return {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}

    steps: list[int] = []

    def stop_in_the_second_epoch(now: Progress) -> None:
        if now.stage == "training":
            steps.append(now.done)
            if now.done == 6:  # of 4 an epoch
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("stopped.onnx", progress=stop_in_the_second_epoch)
    assert not (tmp_path / "stopped.onnx").exists()
    assert (tmp_path / "stopped.onnx.training" / "epoch.npz").is_file()
    stages: list[tuple[str, int]] = []
    resumed = train("stopped.onnx", progress=lambda now: stages.append((now.stage, now.done)))
    assert min(done for stage, done in stages if stage == "training") == 5
    assert "reading captions" not in {stage for stage, _ in stages}
    assert not (tmp_path / "stopped.onnx.training").exists()
    whole = train("whole.onnx")
    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_allclose(resumed[name], value, atol=1e-6, err_msg=name)


def test_training_lowers_the_distance_to_held_out_pictures(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    longer = replace(SMALL, epochs=40, rate=3e-3)
    made = train_afs(library, pictures / "captions.tsv", to=tmp_path / "a.onnx", options=longer)
    shorter = replace(SMALL, epochs=1, rate=1e-9)
    begun = train_afs(library, pictures / "captions.tsv", to=tmp_path / "b.onnx", options=shorter)
    assert made.loss < begun.loss / 2
    assert made.loss < made.loss_page
