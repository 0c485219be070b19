"""Checks of an images API: it answers, accepts the key, and has the model. Renders nothing."""

from dataclasses import dataclass
from difflib import get_close_matches

from bot.config import Config
from bot.doctor.checks import TIME_LIMIT, Check, NoAnswer, Severity, auth_headers, get_json, origin

OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class _ListedModel:
    id: str


@dataclass(frozen=True, slots=True)
class _ModelList:
    data: list[_ListedModel] | None


async def check_images_api(config: Config, model: str, limit: float = TIME_LIMIT) -> list[Check]:
    """Check the server that is configured to create images with this model."""
    about, base = "Drawing", (config.images_base_url or OPENAI).rstrip("/")
    server = f"The images server {origin(base)}"
    try:
        headers = auth_headers("Bearer", config.images_api_key)
        listed = (await get_json(f"{base}/models", _ModelList, headers, limit=limit, trust_env=True)).data or []
    except NoAnswer as error:
        if error.status in (404, 405) and base.endswith("/v1"):
            return [Check(Severity.NOTE, about, f"{server} answers, but lists no models: {model} is a guess.")]
        if error.status == 403:  # a key may be valid for images only
            return [Check(Severity.NOTE, about, f"{server} answers, but does not list its models to this key.")]
        cures = {401: "Check IMAGES_API_KEY."}
        cures |= dict.fromkeys((200, 404, 405), "Check IMAGES_BASE_URL: with most servers it ends in /v1.")
        cure = cures.get(error.status, "See whether it runs and can be reached from here, or correct IMAGES_BASE_URL.")
        return [Check(Severity.ERROR, about, f"{server} {error}.", cure)]
    names = [each.id for each in listed]
    if model in names:
        return [Check(Severity.OK, about, f"{server} has {model}.")]
    there = ", ".join(get_close_matches(model, names, 3, 0.3) or names[:3]) or "none"
    cure = f"Correct IMAGE_MODEL, unless the server takes any name. Of those that are there: {there}."
    return [Check(Severity.NOTE, about, f"{server} does not list {model}.", cure)]
