"""The doctor before an images API: what it finds, the cure it tells, what it keeps quiet."""

import pytest
from pydantic import SecretStr

from bot.config import Config
from bot.doctor.checks import Severity
from bot.doctor.doctor import check_rendering
from render.protocol import VERSION
from tests.support.images_server import Answer, ImagesDouble, error, images_server


@pytest.mark.parametrize(
    ("models", "mark", "words"),
    [
        (Answer(200, {"data": [{"id": "flat"}]}), Severity.OK, "has flat"),
        (Answer(200, {"data": [{"id": "float"}]}), Severity.NOTE, "those that are there: float"),
        (Answer(200, {"data": None}), Severity.NOTE, "does not list flat"),
        (Answer(404, {}), Severity.NOTE, "a guess"),
        (error("Missing scopes", 403), Severity.NOTE, "does not list its models to this key"),
        (error("Incorrect API key provided: sk-hunter2", 401), Severity.ERROR, "Check IMAGES_API_KEY"),
        (error("Down", 500), Severity.ERROR, "IMAGES_BASE_URL"),
        (Answer(200, "<html>"), Severity.ERROR, "ends in /v1"),
    ],
)
async def test_an_images_api_is_asked_for_its_models(models: Answer, mark: Severity, words: str) -> None:
    """No worker and no torch is looked for, nothing is drawn, and the key is not shown."""
    async with images_server(ImagesDouble(models=models)) as double:
        config = Config(image_model="openai:flat", images_base_url=double.url, images_api_key=SecretStr("sk-hunter2"))
        (finding,) = await check_rendering(config, VERSION)
    assert finding.severity is mark and words in f"{finding.message} {finding.remedy}"
    assert "hunter" not in f"{finding.message} {finding.remedy}"
    assert double.asked == []
