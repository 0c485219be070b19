"""The benchmark for GPUs runs, so that it is ready where there is one."""

import pytest

pytest.importorskip("torch", reason="the worker needs the render extra")

import torch

from benchmarks import gpu
from tests.support.tiny_models import UPSTREAM

pytestmark = [pytest.mark.filterwarnings(line) for line in UPSTREAM]


def test_it_measures_every_number_on_a_tiny_model(capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways, at each number of people, with the best cap and the goal beside the ratio."""
    gpu.measure(gpu.TINY[0], "cpu", None)
    said = capsys.readouterr().out
    assert [f"{people} people" in said for people in gpu.PEOPLE] == [True] * 3
    assert "best" in said
    assert "(goal: 1.5x)" in said
    assert "operations a picture" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_it_says_that_there_is_no_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, and no fault."""
    gpu.main([])
    assert "no CUDA device" in capsys.readouterr().out
