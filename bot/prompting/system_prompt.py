"""Builds the system prompt and other prompts from the templates `prompts/*.md`, capabilities and persona.

`check_templates` finds a missing or misspelled placeholder when the program starts.
"""

import json
from functools import cache
from pathlib import Path
from string import Template
from types import MappingProxyType

from bot.capabilities import Dialect, Editing, ModelCapabilities
from bot.domain import ImageRequest, Operation
from bot.errors import ConfigError
from bot.llm.messages import ModelProfile, RequestProtocol
from bot.parsing.image_request import as_tag

FOLDER = Path(__file__).parents[2] / "prompts"

PLACEHOLDERS = MappingProxyType(
    {
        "system": {"persona", "how", "wording", "examples"},
        "tags": {"edited", "sizes"},
        "tools": {"edited", "sizes"},
        "wording": {"dialect"},
        "examples": {
            "lighthouse", "lighthouse_words", "red_tower", "another", "chosen", "cat_awake", "cat_asleep",
        },
        "repair": {"how"},
        "refine": {"dialect", "longest"},
        "alt": set(),
    }
)  # fmt: skip

_EDIT_PROMPTS = {
    Editing.DESCRIBE: "the whole picture as it is to be after the change",
    Editing.INSTRUCT: "the change alone, as an instruction that names what stays",
    Editing.REDRAW: "the whole picture as it is to be after the change, because it is drawn again",
}
_DIALECTS = {
    Dialect.SENTENCES: "One to three plain English sentences: subject, what it does, place, light, style.",
    Dialect.PHRASES: "English phrases set apart by commas, the most important first, about forty words at most:"
    " subject, details, place, light, style. What stands first weighs most, and nothing is read beyond 77 tokens.",
    Dialect.SCENES: "The image model knows only simple scenes, so put what is wanted into such words: one or two kinds"
    " of things (circle, square, triangle, star, heart, diamond, moon, cross, house, tree, flower, face, cat, fish), up"
    " to four of each, with a size (small, large) and a colour (red, orange, yellow, green, blue, purple, pink, brown,"
    " black, gray, white); one left of, right of, above, below or inside the other; on a background of one colour, or"
    " on the beach, in a meadow, at night, at sunset, in the sea, in the snow; in outline style or in pixel style.",
}
MAX_PROMPT_WORDS = {Dialect.SENTENCES: 90, Dialect.PHRASES: 45, Dialect.SCENES: 20}  # words of a refined prompt

_LIGHTHOUSE = "a white lighthouse on a black cliff, huge waves, dark storm clouds, dramatic light"
_RED_TOWER = "a red lighthouse on a black cliff, huge waves, dark storm clouds, dramatic light"
_CAT = "a ginger cat sitting on a windowsill, awake, morning light"
_CAT_ASLEEP = "a ginger cat asleep on a windowsill, moonlight"
_TOOL_NAMES = {
    Operation.GENERATE: "generate_image",
    Operation.EDIT: "edit_image",
    Operation.VARY: "vary_image",
    Operation.SELECT: "select_image",
}


def build_system_prompt(capabilities: ModelCapabilities, profile: ModelProfile, persona: str = "") -> str:
    """Return the system prompt for a chat model with this profile and an image model with these capabilities."""
    sizes = ""
    if capabilities.ratios and profile.request_protocol is RequestProtocol.TAGS:
        sizes = '\nWidth to height may be given where it matters: <image ratio="16:9">…</image>; 1:1, 3:2, 2:3, 9:16.'
    elif capabilities.ratios:
        sizes = "\nGive `ratio` (1:1, 3:2, 2:3, 16:9, 9:16) only where it matters."
    how = _fill(profile.request_protocol.value, edited=_EDIT_PROMPTS[capabilities.editing], sizes=sizes)
    return _fill(
        "system",
        persona=f"\n# Who you are here\n\n{persona.strip()}\n" if persona.strip() else "",
        how=how,
        wording=_fill("wording", dialect=_DIALECTS[capabilities.dialect]),
        examples=_examples(capabilities, profile.request_protocol),
    )


def build_reminder(front_end: RequestProtocol) -> str:
    """Return the reminder for a chat model that forgot to request the image."""
    tag = "Write it now, as one tag: <image>what is to be seen</image>, or <edit>…</edit> for a change."
    call = "Call the tool for it now, or write <image>what is to be seen</image>."
    return _fill("repair", how=tag if front_end is RequestProtocol.TAGS else call)


def build_refinement_prompt(dialect: Dialect) -> str:
    """Return the instructions for a chat model that refines a short prompt."""
    return _fill("refine", dialect=_DIALECTS[dialect], longest=str(MAX_PROMPT_WORDS[dialect]))


def build_alt_text_prompt() -> str:
    """Return the instructions for a chat model that writes the alternative text of an image."""
    return _fill("alt")


def check_templates() -> None:
    """Raises ConfigError with every prompt file that is missing or has wrong placeholders."""
    faults = []
    for name, wanted in PLACEHOLDERS.items():
        try:
            template = _template(name)
        except OSError as error:
            faults.append(f"prompts/{name}.md cannot be read: {error.strerror}.")
            continue
        if not template.is_valid() or set(template.get_identifiers()) != wanted:
            needed = ", ".join(f"${placeholder}" for placeholder in sorted(wanted))
            faults.append(f"prompts/{name}.md must hold exactly these placeholders: {needed}; a plain dollar is $$.")
    if faults:
        raise ConfigError("\n".join(faults))


def _examples(capabilities: ModelCapabilities, front_end: RequestProtocol) -> str:
    instructs = capabilities.editing is Editing.INSTRUCT
    red = "Paint the lighthouse tower red. Keep everything else." if instructs else _RED_TOWER
    asked = {
        "lighthouse": ImageRequest(0, Operation.GENERATE, _LIGHTHOUSE),
        "red_tower": ImageRequest(0, Operation.EDIT, red, source=1, change="small"),
        "another": ImageRequest(0, Operation.VARY, "", source=1),
        "chosen": ImageRequest(0, Operation.SELECT, "", source=2),
        "cat_awake": ImageRequest(0, Operation.GENERATE, _CAT),
        "cat_asleep": ImageRequest(0, Operation.EDIT, _CAT_ASLEEP, change="large"),
    }
    write = as_tag if front_end is RequestProtocol.TAGS else _format_call
    shown = {name: write(request) for name, request in asked.items()}
    return _fill("examples", lighthouse_words=_LIGHTHOUSE, **shown)


def _format_call(request: ImageRequest) -> str:
    """Write the tool call on a line of its own; the parser also accepts this form if a model writes it as text."""
    given = {"prompt": request.prompt, "of": request.source, "change": request.change}
    arguments = ", ".join(f"{name}={json.dumps(value)}" for name, value in given.items() if value)
    return f"\n{_TOOL_NAMES[request.operation]}({arguments})"


def _fill(name: str, **values: str) -> str:
    return _template(name).substitute(values).strip()


@cache
def _template(name: str) -> Template:
    return Template((FOLDER / f"{name}.md").read_text(encoding="utf-8"))
