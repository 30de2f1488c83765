"""--config and `relook config`: what wins, what is shown, and the shipped files."""

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from library_parts import many

import relook
from relook.app.configured import SECTIONS, config_of, shipped, user_file
from relook.captioners.wording import shipped_prompts
from relook.cli.main import main
from relook.core.config_file import Setting
from relook.core.errors import StorageError
from relook.core.settings import CaptionerSettings, EncoderSettings, PromptSettings
from relook.encoders.spec import ModelSpec
from relook.feedback.strategies import strategy
from relook.gateway.server_settings import ServerSettings
from relook.rag.consent import Consent
from relook.rag.provider_call import ResultCache
from relook.testing import ColourEncoder, solid

DOCS = Path(__file__).parents[2] / "docs"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder with no configuration of its own."""
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path / "user"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("RELOOK_LIBRARY", raising=False)
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run_it


@pytest.fixture
def album(tmp_path: Path, run: Run) -> Path:
    many(tmp_path / "photos", 6)
    Path("a.toml").write_text('[library]\nfolder = "lib"\npictures = ["photos"]\n')
    assert run("index", "--config", "a.toml")[0] == 0
    return tmp_path / "photos"


def n_hits(run: Run, *arguments: object) -> int:
    code, out, err = run(*arguments)
    assert code == 0, err
    return len(out.splitlines())


def test_a_file_says_library_and_pictures(run: Run, album: Path) -> None:
    assert len(relook.Library("lib")) == 6
    _, out, _ = run("index", "--config", "a.toml", "--json")
    assert json.loads(out)["n_unchanged"] == 6


def test_flags_win_over_environment_over_file_over_users_file(
    run: Run, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = ("search", "noise", "--files", "--no-fold")
    Path("user").mkdir()
    Path("user/config.toml").write_text('[library]\nfolder = "lib"\n[search]\nlimit = 5\n')
    assert n_hits(run, *search) == 5
    Path("b.toml").write_text("[search]\nlimit = 4\n")
    assert n_hits(run, *search, "--config", "b.toml") == 4
    monkeypatch.setenv("RELOOK_SEARCH_LIMIT", "3")
    assert n_hits(run, *search, "--config", "b.toml") == 3
    assert n_hits(run, *search, "--config", "b.toml", "--limit", "2") == 2
    assert n_hits(run, "similar", album / "0001.png", "--files") == 3
    assert json.loads(run("look", "noise", "--json")[1])["hits"][2:]
    assert json.loads(run("info", "--json")[1])["n_images"] == 6


def test_settings_without_a_flag_reach_the_engine(run: Run, album: Path) -> None:
    Path("b.toml").write_text(
        '[library]\nfolder = "lib"\n[search]\nfold_cosine = -1.0\nfold_bits = 64\n'
    )
    assert n_hits(run, "search", "noise", "--files", "--config", "b.toml") == 1
    assert n_hits(run, "search", "noise", "--files", "--library", "lib") == 6


def test_limits_and_index_settings_count(run: Run, album: Path) -> None:
    Path("b.toml").write_text("[images]\nmax_file_bytes = 10\n[index]\nhidden = true\n")
    (album / ".hidden.png").write_bytes((album / "0000.png").read_bytes())
    code, out, _ = run("index", "photos", "--library", "other", "--config", "b.toml", "--json")
    assert code == 3
    told = json.loads(out)
    assert told["n_skipped"] == 7
    assert {file["code"] for file in told["skipped"]} == {"file_too_large"}


def test_a_name_that_is_nowhere(run: Run) -> None:
    code, _, err = run("search", "x", "--config", "coco-clip-larg")
    assert code == 1
    assert "error[no_config]" in err
    assert "did you mean coco-clip-large?" in err
    Path("cpu-only").write_text("[search]\nlimit = 1\n")
    assert json.loads(run("config", "show", "--config", "cpu-only", "--json")[1])["files"] == [
        "cpu-only"
    ]  # a file that is there is meant


def test_show_says_where_each_value_comes_from(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELOOK_TOKEN", "a-secret-of-24-characters")
    monkeypatch.setenv("RELOOK_SERVE_PORTS", "1")
    code, out, err = run("config", "show", "--config", "coco-clip-large", "--json")
    settings = json.loads(out)["settings"]
    assert code == 0
    assert settings["serve.token"] == {"value": "(set)", "source": "RELOOK_TOKEN"}
    assert settings["encoder.model"]["value"] == "hf:openai/clip-vit-large-patch14"
    assert settings["encoder.model"]["source"].endswith("coco-clip-large.toml")
    assert settings["search.limit"] == {"value": 20, "source": "default"}
    assert "RELOOK_SERVE_PORTS is set, and no setting is called so" in err
    monkeypatch.setenv("RELOOK_SERCH_LIMIT", "1")
    for command in (("search", "red"), ("search", "red", "-l", "none"), ("album", "list")):
        err = run(*command)[2]
        assert err.count("RELOOK_SERCH_LIMIT is set, and no setting is called so") == 1
    code, out, _ = run("config", "show", "--config", "coco-clip-large")
    assert "shipped coco-clip-large" in out
    assert "secret" not in out
    assert str(user_file()) in out


def test_every_setting_is_documented_as_it_is() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    lines = [documented(setting) for setting, _ in config_of(None).values()]
    missing = [line for line in lines if line not in text]
    assert not missing, "docs/configuration.md needs:\n" + "\n".join(missing)
    named = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    keys = {setting.key for setting, _ in config_of(None).values()}
    assert {name for name in named if "." in name and name.islower()} == keys


def documented(setting: Setting) -> str:
    """The line of a setting in the documentation's table."""
    facts = setting.field.metadata
    default = setting.default
    if "help" not in facts:
        return f"| `{setting.key}` | a sentence (relook config show) | what a model is told |"
    shown = facts.get("shown") or (
        json.dumps(list(default) if isinstance(default, tuple) else default)
        if default not in (None, "")
        else "none"
    )
    return f"| `{setting.key}` | {shown} | {facts['help']} |"


@pytest.mark.parametrize("name", shipped())
def test_shipped_configurations_name_what_there_is(name: str, run: Run) -> None:
    config = config_of(name)
    encoder = config.settings(EncoderSettings)
    assert ModelSpec.parse(encoder.model).kind in ("hf", "builtin")
    captioner = config.settings(CaptionerSettings)
    assert ModelSpec.parse(captioner.model).kind in ("hf", "builtin")
    prompt = config.settings(PromptSettings).caption
    assert (prompt in shipped_prompts()) == (captioner.model != "builtin")
    assert strategy(config.given("feedback.strategy") or "auto")
    folder = config.given("library.folder")
    assert folder == f"{name}.relook"
    assert f"relook serve --config {name}" in shipped()[name].read_text("utf-8")
    assert name in run("config", "list")[1]


def test_the_issues_own_path_works_in_a_checkout() -> None:
    assert (DOCS.parent / "configs" / "coco-clip-large.toml").samefile(shipped()["coco-clip-large"])


def test_import_writes_a_file_that_can_be_used(run: Run) -> None:
    Path("old.yaml").write_text('VLM_MODEL_NAME: "openai/clip-vit-base-patch32"\nTOP_K: 5\n')
    code, out, err = run("config", "import", "old.yaml")
    assert code == 0
    assert "caption-rocchio" in err
    assert tomllib.loads(out)["search"] == {
        "limit": 5, "fold": False, "grammar": False, "index_kind": "exact"
    }  # fmt: skip
    assert run("config", "import", "old.yaml", "--to", "new.toml")[0] == 0
    shown = json.loads(run("config", "show", "--config", "new.toml", "--json")[1])["settings"]
    assert shown["encoder.tiles"] == {"value": "none", "source": "new.toml"}
    code, _, err = run("config", "import", "old.yaml", "--to", "new.toml")
    assert code == 1
    assert "error[file_exists]" in err


def test_import_names_what_it_does_not_know(run: Run) -> None:
    Path("old.env").write_text("TOP_K=5\nCOLOUR=red\nIMG_SIZE=224\n")
    code, out, err = run("config", "import", "old.env")
    assert code == 3
    assert "note: COLOUR: unknown, and not taken over" in err
    assert "note: IMG_SIZE:" in err
    code, out, _ = run("config", "import", "old.env", "--json")
    assert json.loads(out)["unknown"] == ["COLOUR"]


def test_serve_takes_its_settings(run: Run, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import relook.server.app

    seen = {}
    monkeypatch.setattr(
        relook.server.app.Server, "run",
        lambda self, sockets: seen.update(state=self.config.app.state.relook),
    )  # fmt: skip
    Path("b.toml").write_text(
        '[library]\nfolder = "lib"\n[search]\nlimit = 2\n'
        '[serve]\nport = 0\nn_waiting = 3\nallowed_hosts = ["a.example"]\nask_models = ["m"]\n'
    )
    code, _, err = run("serve", "--config", "b.toml", "--no-open")
    assert code == 0, err
    assert seen["state"].settings.n_waiting == 3
    assert seen["state"].settings.allowed_hosts == ("a.example",)
    assert seen["state"].settings.ask_models == ("m",)
    (library,) = [shelved.library for shelved in seen["state"].libraries]
    assert library.folder == Path("lib")
    assert library.search_settings.limit == 2


def test_sections_are_settings_classes_with_a_heading_in_the_docs() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    for section in SECTIONS:
        assert f"`[{section}]`" in text


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (["--captioner", "nope"], "unknown_captioner"),
        (["--captioner", "hf:org/none"], "model_missing"),
        (["--captioner", "hf:org/none", "--prompt", "shrt"], "unknown_prompt"),
        (["--captioner", "openai:m@http://example.org/v1"], "no_consent"),
        (["--prompt", "query"], "bad_prompt"),
    ],
)
def test_a_captioner_that_cannot_be_is_told_before_the_first_box(
    run: Run, album: Path, flags: list[str], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    for command in (["look", "a dog"], ["serve", "--port", "0", "--no-open"]):
        ended, _, err = run(*command, "-l", "lib", *flags)
        assert ended == 1
        assert f"error[{code}]" in err


def test_a_configured_captioner_can_be_done_without(run: Run, album: Path) -> None:
    Path("b.toml").write_text(
        '[library]\nfolder = "lib"\n[captioner]\nmodel = "hf:org/none"\n'
        '[prompts]\ncaption = "short"\n'
    )
    code, out, _ = run("look", "a dog", "--config", "b.toml", "--json")
    assert code == 1
    assert json.loads(out)["error"]["hint"] == (
        "fetch it: relook model fetch org/none; or do without this captioner: --captioner builtin"
    )
    code, out, _ = run(
        "look", "a dog", "--config", "b.toml", "--captioner", "builtin", "--json", "--limit", "2"
    )
    assert code == 0
    session = json.loads(out)["session_id"]
    refine = ["refine", session, "-l", "lib", "--box", "1:0,0,1,1", "--json"]
    code, out, _ = run(*refine, "--config", "b.toml")
    assert json.loads(out)["error"]["code"] == "model_missing"  # the configured one is meant
    code, out, _ = run(*refine, "--config", "b.toml", "--captioner", "builtin")
    assert code == 0
    assert json.loads(out)["judgements"][0]["caption"]


def test_a_device_is_not_for_the_built_in_encoder_and_that_is_said(
    run: Run, album: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run("index", "--config", "a.toml", "-l", "other", "--device", "cuda")[0] == 0
    assert "device and precision are for hf: and st: encoders" in caplog.text


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home folder, as a number alone is in a container."""
    for name in ("HOME", "RELOOK_CONFIG", "RELOOK_LIBRARY"):
        monkeypatch.delenv(name, raising=False)
    for kind in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.delenv(f"XDG_{kind}_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", os.fspath)


def test_a_user_without_a_home_can_name_a_library(
    homeless: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "red"]) == 1
    assert "error[no_home]: this user has no home folder" in capsys.readouterr().err
    assert main(["doctor"]) == 0
    assert "--library FOLDER" in capsys.readouterr().out
    solid("red").save(tmp_path / "red.png")
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        library.add(tmp_path / "red.png")
    assert main(["info", "--library", str(tmp_path / "library")]) == 0
    assert not ServerSettings().cache.exists()
    assert user_file() == Path(os.devnull, "relook", "config.toml")
    consent = Consent()
    assert not consent.allows("serpapi")
    with pytest.raises(StorageError):
        consent.allow("serpapi")
    assert ResultCache().folder == Path(os.devnull, "relook", "providers")
