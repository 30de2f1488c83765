"""Devices, precision and batch sizes: nothing is lost when memory is short."""

from collections.abc import Sequence

import pytest
import torch

from relook.core.errors import InputError, ModelError
from relook.encoders.devices import BatchSize, Place, in_batches, place

CPU = Place("cpu", "float32")


class Memory:
    """A model that takes so many inputs at once."""

    def __init__(self, holds: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        self.holds, self.error, self.tried = holds, error, list[int]()

    def run(self, some: Sequence[int]) -> list[int]:
        self.tried.append(len(some))
        if len(some) > self.holds:
            raise self.error("CUDA out of memory. Tried to allocate 2 GiB")
        return [10 * one for one in some]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_a_batch_that_does_not_fit_is_halved_and_none_is_lost(error: type[Exception]) -> None:
    memory, batch = Memory(5, error), BatchSize(32)
    assert in_batches(range(50), memory.run, batch, CPU) == [10 * one for one in range(50)]
    assert batch.size == 4
    assert memory.tried[:5] == [32, 16, 8, 4, 4]


def test_memory_for_not_even_one_is_an_error() -> None:
    with pytest.raises(ModelError) as caught:
        in_batches([1, 2], Memory(0).run, BatchSize(8), Place("cuda", "float16"))
    assert caught.value.code == "out_of_memory"
    assert "--device cpu" in caught.value.hint


def test_another_failure_is_no_lack_of_memory() -> None:
    def run(some: Sequence[int]) -> list[int]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        in_batches([1, 2], run, BatchSize(8), CPU)


def test_a_batch_grows_while_it_pays() -> None:
    batch = BatchSize(8)
    rates = {8: 100.0, 16: 150.0, 32: 151.0}
    for _ in range(20):
        batch.took(batch.size, batch.size / rates[batch.size])
    assert batch.size == 16
    batch.took(16, 1e-9)
    assert batch.size == 16  # it is settled


def test_a_batch_that_is_hardly_full_says_nothing() -> None:
    batch = BatchSize(32)
    for _ in range(10):
        batch.took(7, 1e-9)
    assert batch.size == 32


def test_a_batch_has_an_end() -> None:
    batch = BatchSize(8)
    for n in range(1, 100):
        batch.took(batch.size, batch.size / 2.0**n)
    assert batch.size == 1024


def test_what_was_short_of_memory_does_not_grow_again() -> None:
    batch = BatchSize(32)
    batch.halve()
    for _ in range(10):
        batch.took(16, 1e-9)
    assert batch.size == 16


@pytest.mark.parametrize(
    ("features", "dtype"),
    [({}, "float32"), ({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16")],
)
def test_a_processor_runs_bfloat16_only_where_it_has_it(
    features: dict[str, bool], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert place("cpu").dtype == dtype
    assert place("cpu", "float32").dtype == "float32"


def test_the_fastest_device_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert str(place()) == "mps float16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert str(place()) == "cuda float16"
    assert place("cuda:1", "bfloat16").torch_dtype is torch.bfloat16
    with pytest.raises(InputError, match="cuda:2"):
        place("cuda:2")


@pytest.mark.parametrize("device", ["cuda", "gpu", "cpu:1", "cuda:x", "mps"])
def test_a_device_that_is_not_there(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError) as caught:
        place(device)
    assert (caught.value.code, caught.value.hint) == (
        "bad_device",
        "use cpu, or leave --device out",
    )


def test_a_precision_that_is_none() -> None:
    with pytest.raises(InputError) as caught:
        place("cpu", "half")
    assert caught.value.code == "bad_dtype"
