"""Where a graph runs: what is asked for, or an error."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

import relook
from relook.core.errors import InputError
from relook.encoders.devices import choose_device, open_session

CPU, CUDA, OPENVINO, COREML = (
    f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "OpenVINO", "CoreML")
)


def built_for(monkeypatch: pytest.MonkeyPatch, *providers: str) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(providers))


@pytest.mark.parametrize(
    ("providers", "device"),
    [
        ((CPU,), "cpu"),
        ((CUDA, CPU), "cuda"),
        ((OPENVINO, CPU), "openvino"),
        ((COREML, CPU), "cpu"),
    ],
)
def test_auto_takes_the_fastest_that_is_exact(
    providers: tuple[str, ...], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built_for(monkeypatch, *providers)
    assert choose_device("auto") == device


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps", "cpu:1", "", "openvino:0"])
def test_a_device_that_is_not_there_is_an_error(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built_for(monkeypatch, OPENVINO, CPU)
    with pytest.raises(InputError, match=r"no device") as raised:
        choose_device(device)
    assert raised.value.code == "bad_device"
    assert "cpu, openvino" in raised.value.hint


@pytest.mark.parametrize(
    ("device", "providers"),
    [
        ("cpu", [CPU]),
        ("cuda:1", [(CUDA, {"device_id": "1"}), CPU]),
        ("coreml", [COREML, CPU]),
    ],
)
def test_a_device_is_asked_for_by_name(
    device: str, providers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Session:
        def __init__(self, path: str, options: object, providers: list[Any]) -> None:
            asked.extend(providers)

        def get_providers(self) -> list[str]:
            return [name if isinstance(name, str) else name[0] for name in asked]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    open_session(Path("graph.onnx"), device)
    assert asked == providers


def test_a_device_that_fails_is_no_slower_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime itself would go on without it, on the processor."""

    class Session:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def get_providers(self) -> list[str]:
            return [CPU]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    with pytest.raises(InputError, match="cannot use cuda here") as raised:
        open_session(Path("graph.onnx"), "cuda")
    assert "--device cpu" in raised.value.hint


def test_only_one_module_loads_onnx_runtime() -> None:
    """Another could load it before it is told to report to nobody."""
    root = Path(relook.__file__).parent
    loading = []
    for file in sorted(root.rglob("*.py")):
        text = file.read_text("utf-8")
        if "onnxruntime" not in text:
            continue
        tree = ast.parse(text)
        typed = [
            node
            for block in ast.walk(tree)
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
            for node in ast.walk(block)
        ]
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if node not in typed and any(name.split(".")[0] == "onnxruntime" for name in names):
                loading.append(file.relative_to(root).as_posix())
    # The second one calls `runtime` first.
    assert set(loading) == {"encoders/devices.py", "encoders/onnx_export.py"}


def test_a_search_leaves_no_trace_of_onnx_runtimes_reports(tmp_path: Path) -> None:
    """Neither the identifier of the machine nor the store of reports that wait to be sent."""
    told = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    script = (
        "import os, sys\n"
        "from relook.encoders.builtin import BuiltinEncoder\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "BuiltinEncoder().encode_texts(['a dog'])\n"
        "assert 'onnxruntime' in sys.modules\n"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'\n"
    )
    homes = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**told, **homes, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.rglob("*")) == []
