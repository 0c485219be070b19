"""The doctor before an images API: what it finds, the cure it tells, what it keeps quiet."""

import pytest
from pydantic import SecretStr

from bot.config import Config
from bot.doctor.checks import Mark
from bot.doctor.doctor import drawing
from render.protocol import VERSION
from tests.support.images_server import Answer, ImagesDouble, error, images_server


@pytest.mark.parametrize(
    ("models", "mark", "words"),
    [
        (Answer(200, {"data": [{"id": "flat"}]}), Mark.GOOD, "has flat"),
        (Answer(200, {"data": [{"id": "float"}]}), Mark.NOTE, "those that are there: float"),
        (Answer(200, {"data": None}), Mark.NOTE, "does not list flat"),
        (Answer(404, {}), Mark.NOTE, "a guess"),
        (error("Missing scopes", 403), Mark.NOTE, "does not list its models to this key"),
        (error("Incorrect API key provided: sk-hunter2", 401), Mark.WRONG, "Check IMAGES_API_KEY"),
        (error("Down", 500), Mark.WRONG, "IMAGES_BASE_URL"),
        (Answer(200, "<html>"), Mark.WRONG, "ends in /v1"),
    ],
)
async def test_an_images_api_is_asked_for_its_models(models: Answer, mark: Mark, words: str) -> None:
    """No worker and no torch is looked for, nothing is drawn, and the key is not shown."""
    async with images_server(ImagesDouble(models=models)) as double:
        config = Config(picture_model="openai:flat", images_base_url=double.url, images_api_key=SecretStr("sk-hunter2"))
        (finding,) = await drawing(config, VERSION)
    assert finding.mark is mark and words in f"{finding.told} {finding.cure}"
    assert "hunter" not in f"{finding.told} {finding.cure}"
    assert double.asked == []
