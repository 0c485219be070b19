"""What a model wears for one picture: style files, and an eye for the subject of another picture."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the worker needs the render extra")

import torch
from safetensors.torch import save_file

from bot.domain import Operation
from bot.notices import notice
from render.diffusion.diffusers_model import DiffusersModel
from render.image_model import ModelLoadError, Options
from render.models.edit_plan import EditMethod
from render.protocol import ImageFailed, ImageTask
from tests.e2e.image_models.test_families import asked, made, output, pixels, source
from tests.support.tiny_models import FAMILIES, UPSTREAM, adapter

pytestmark = [pytest.mark.filterwarnings(line) for line in UPSTREAM]


def lora(pipe: Any, file: Path) -> None:
    """A style file that fits the attentions of a U-Net."""
    weights, draw = {}, torch.Generator().manual_seed(1)
    for name, part in pipe.unet.named_modules():
        if name.endswith(("to_q", "to_v")):
            high, wide = part.weight.shape
            weights[f"unet.{name}.lora_A.weight"] = torch.randn(2, wide, generator=draw)
            weights[f"unet.{name}.lora_B.weight"] = torch.randn(high, 2, generator=draw)
    file.parent.mkdir(exist_ok=True)
    save_file(weights, file)


def dressed(task: ImageTask, file: str, scale: float = 1.0) -> ImageTask:
    """The task in a style."""
    return replace(task, sampling=replace(task.sampling, lora=file, lora_scale=scale))


def test_a_style_is_worn_for_its_own_picture_alone(tmp_path: Path) -> None:
    """With the style the picture is another one, by how much is for its scale to say; afterwards all is as before."""
    pipe = FAMILIES["sd"].build()
    lora(pipe, tmp_path / "house.safetensors")
    loaded_model = DiffusersModel(
        "tiny", "cpu", 4, load=lambda model, device: pipe, options=Options(styles=str(tmp_path))
    )
    plain = asked(Operation.GENERATE, "a box")
    bare = pixels(made(output(loaded_model, plain))[plain.id])
    worn = pixels(made(output(loaded_model, dressed(plain, "house.safetensors")))[plain.id])
    little = pixels(made(output(loaded_model, dressed(plain, "house.safetensors", 0.01)))[plain.id])
    assert abs(worn - bare).max() > 3 and abs(little - bare).mean() < abs(worn - bare).mean()
    assert (pixels(made(output(loaded_model, plain))[plain.id]) == bare).all()


def test_a_style_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Nor is one taken from elsewhere, or one that is for another model."""
    pipe = FAMILIES["sd"].build()
    lora(pipe, tmp_path / "styles" / "house.safetensors")
    lora(pipe, tmp_path / "out.safetensors")
    save_file({"other.lora_A.weight": torch.ones(2, 2)}, tmp_path / "styles" / "other.safetensors")
    loaded_model = DiffusersModel(
        "tiny", "cpu", 4, load=lambda model, device: pipe, options=Options(styles=str(tmp_path / "styles"))
    )
    for file in ("nothing.safetensors", "../out.safetensors"):
        (spoilt,) = [
            e
            for e in output(loaded_model, dressed(asked(Operation.GENERATE, "a box"), file))
            if isinstance(e, ImageFailed)
        ]
        assert "no style file" in str(spoilt.reason)


def test_a_large_change_looks_at_the_picture_where_there_is_an_eye(tmp_path: Path) -> None:
    """With an IP-Adapter the picture decides what a large change looks like; a new picture is as it was without."""
    pipe = FAMILIES["sdxl-eyes"].build()
    plain = asked(Operation.GENERATE, "a box")
    before = pixels(made(output(DiffusersModel("tiny", "cpu", 4, load=lambda model, device: pipe), plain))[plain.id])
    adapter(pipe, tmp_path)
    options = Options(ip_adapter=str(tmp_path / "ip_adapter.safetensors"))
    loaded_model = DiffusersModel("tiny", "cpu", 4, load=lambda model, device: pipe, options=options)
    red, blue = (
        made(output(loaded_model, asked(Operation.EDIT, "a box on the moon", change="large", picture=source(colour))))
        for colour in ("red", "blue")
    )
    (one,), (other,) = red.values(), blue.values()
    assert one.edit_method == notice(EditMethod.IMAGE_PROMPT) and abs(pixels(one) - pixels(other)).max() > 0
    assert abs(pixels(made(output(loaded_model, plain))[plain.id]) - before).max() <= 1


def test_an_eye_that_cannot_be_had_is_said() -> None:
    """The worker says which setting is wrong."""
    with pytest.raises(ModelLoadError, match="RENDER_IP_ADAPTER=/nowhere/x"):
        DiffusersModel(
            "tiny", "cpu", 4, load=lambda m, d: FAMILIES["sdxl-eyes"].build(), options=Options(ip_adapter="/nowhere/x")
        )


def test_an_eye_changes_nothing_else(tmp_path: Path) -> None:
    """With an IP-Adapter small changes and batches are drawn as well: it is closed there."""
    pipe = FAMILIES["sdxl-eyes"].build()
    adapter(pipe, tmp_path)
    options = Options(ip_adapter=str(tmp_path / "ip_adapter.safetensors"))
    loaded_model = DiffusersModel("tiny", "cpu", 4, load=lambda model, device: pipe, options=options)
    small = asked(Operation.EDIT, "a blue box on a wall", change="small", picture=source())
    assert str(made(output(loaded_model, small))[small.id].edit_method).startswith(
        (str(notice(EditMethod.INPAINT)), str(notice(EditMethod.IMAGE_TO_IMAGE)))
    )
    several = [asked(Operation.GENERATE, "a box", seed) for seed in (1, 2, 3)]
    together = made(output(loaded_model, *several))
    alone = made(output(loaded_model, several[1]))[several[1].id]
    assert abs(pixels(together[several[1].id]) - pixels(alone)).max() <= 2
