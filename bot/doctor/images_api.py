"""Checks of an images API: it answers, accepts the key, and has the model. Renders nothing."""

from dataclasses import dataclass
from difflib import get_close_matches

from bot.config import Config
from bot.doctor.checks import TIME_LIMIT, Finding, Mark, NoAnswer, bearer, get, origin

OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class _Listed:
    id: str


@dataclass(frozen=True, slots=True)
class _Models:
    data: list[_Listed] | None


async def images(config: Config, model: str, limit: float = TIME_LIMIT) -> list[Finding]:
    """Check the server that is configured to create images with this model."""
    about, base = "Drawing", (config.images_base_url or OPENAI).rstrip("/")
    server = f"The images server {origin(base)}"
    try:
        headers = bearer("Bearer", config.images_api_key)
        listed = (await get(f"{base}/models", _Models, headers, limit=limit, trust_env=True)).data or []
    except NoAnswer as error:
        if error.status in (404, 405) and base.endswith("/v1"):
            return [Finding(Mark.NOTE, about, f"{server} answers, but lists no models: {model} is a guess.")]
        if error.status == 403:  # a key may be valid for images alone
            return [Finding(Mark.NOTE, about, f"{server} answers, but does not list its models to this key.")]
        cures = {401: "Check IMAGES_API_KEY."}
        cures |= dict.fromkeys((200, 404, 405), "Check IMAGES_BASE_URL: with most servers it ends in /v1.")
        cure = cures.get(error.status, "See whether it runs and can be reached from here, or correct IMAGES_BASE_URL.")
        return [Finding(Mark.WRONG, about, f"{server} {error}.", cure)]
    names = [each.id for each in listed]
    if model in names:
        return [Finding(Mark.GOOD, about, f"{server} has {model}.")]
    there = ", ".join(get_close_matches(model, names, 3, 0.3) or names[:3]) or "none"
    cure = f"Correct PICTURE_MODEL, unless the server takes any name. Of those that are there: {there}."
    return [Finding(Mark.NOTE, about, f"{server} does not list {model}.", cure)]
