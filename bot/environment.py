"""Environment variables that had other names in earlier versions: the old names still work. Pure."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

OLD_VARIABLES: Mapping[str, str] = MappingProxyType({
    "IMAGES_AT_ONCE": "IMAGES_MAX_CONCURRENT",
    "PICTURE_MODEL": "IMAGE_MODEL",
    "RAY_PAINTERS": "RAY_REPLICAS",
    "REFINE": "IMPROVE_PROMPTS",
    "RENDER_PATIENCE": "RENDER_TIMEOUT",
    "RENDER_QUANTISE": "RENDER_QUANTIZE",
    "STYLES": "STYLES_DIR",
})  # fmt: skip


def rename_old_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with present names only. A value under the present name wins; an empty one is none."""
    renamed = {name: value for name, value in environment.items() if name.upper() not in OLD_VARIABLES}
    taken = {name.upper() for name, value in renamed.items() if value}
    old = {name.upper(): value for name, value in environment.items() if name.upper() in OLD_VARIABLES and value}
    return renamed | {OLD_VARIABLES[name]: value for name, value in old.items() if OLD_VARIABLES[name] not in taken}


def find_values_under_old_names(environment: Mapping[str, str], fields: Collection[str]) -> dict[str, Any]:
    """Return the values of those fields of a settings model whose variable is set under its old name only."""
    set_ = {name.upper() for name, value in environment.items() if value}
    renamed = rename_old_variables(environment)
    found = {name.lower(): renamed[name] for name in OLD_VARIABLES.values() if renamed.get(name) and name not in set_}
    return {field: value for field, value in found.items() if field in fields}


def describe_old_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence about each variable that is set under an old name: what to set instead."""
    values = {name.upper(): value for name, value in environment.items()}
    return [_describe(old, new, bool(values.get(new))) for old, new in OLD_VARIABLES.items() if values.get(old)]


def _describe(old: str, new: str, is_ignored: bool) -> str:
    if is_ignored:
        return f"{old} is ignored, because {new}, its new name, is set: delete it."
    return f"{old} has a new name: set {new} instead."
