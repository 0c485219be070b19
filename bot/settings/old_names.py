"""Names that settings and their values had in earlier versions: they are accepted, but not shown. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

OLD_KEYS: Mapping[str, str] = MappingProxyType({
    "answer": "reply_in",
    "at_once": "max_concurrent",
    "changers": "who_can_edit_settings",
    "count": "images_per_request",
    "daily": "daily_limit",
    "describe": "alt_text",
    "picture_model": "image_model",
    "ratio": "aspect_ratio",
    "refine": "improve_prompts",
    "rule": "blocked_words",
    "server_daily": "server_daily_limit",
    "unasked": "reply_mode",
})  # fmt: skip
OLD_VALUES: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "aspect_ratio": {"usual": "default"},
    "chat_model": {"usual": "default"},
    "image_model": {"usual": "default"},
    "reply_in": {"in place": "channel"},
    "reply_mode": {"pictures": "images"},
    "style": {"usual": "default"},
})  # fmt: skip


def current_key(name: str) -> str:
    """Return the present key of a setting; an unknown key stays as it is."""
    return OLD_KEYS.get(name, name)


def current_value(key: str, value: str) -> str:
    """Return the present name of a value of the setting with this present key; other values stay as they are."""
    return OLD_VALUES.get(key, {}).get(value, value)
