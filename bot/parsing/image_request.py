"""Conversion of tags and tool calls, in any spelling, to `ImageRequest`, and back to the canonical tag. Pure."""

import html
import re
from collections.abc import Mapping
from functools import lru_cache
from math import gcd

from bot.domain import ImageRequest, Operation, Sampling

TAG_OPERATIONS = {
    "image": Operation.GENERATE,
    "edit": Operation.EDIT,
    "vary": Operation.VARY,
    "variation": Operation.VARY,
    "select": Operation.SELECT,
    "refine": Operation.REFINE,
}
TAG_NAMES = {operation: name for name, operation in reversed(TAG_OPERATIONS.items())}
TAG_NAMES[Operation.UPSCALE] = "refine"  # users upscale by a button; the chat model knows it as a refinement
PROMPT_REQUIRED = {Operation.GENERATE, Operation.EDIT}
WITHOUT_PROMPT = {Operation.VARY, Operation.SELECT}
# Attributes that hold the prompt
PROMPT_ATTRIBUTES = dict.fromkeys("prompt description caption text instruction query input alt".split())
MAX_PROMPT_LENGTH = 32_000  # characters; the rest is dropped

# Names that models use for our attributes and arguments, the most reliable name first
_ATTRIBUTE_ALIASES = {
    "prompt": tuple(PROMPT_ATTRIBUTES),
    "of": "of prev_id previous previous_id image_id picture_id picture number source reference".split(),
    "ratio": "ratio aspect_ratio aspect ar size resolution".split(),
    "change": ("change",),
    "id": ("id",),
    "width": ("width",),
    "height": ("height",),
}
_NAMED_RATIOS = {"square": "1:1", "wide": "3:2", "landscape": "3:2", "horizontal": "3:2", "panorama": "2:1"}
_NAMED_RATIOS |= {"widescreen": "16:9", "tall": "2:3", "portrait": "2:3", "vertical": "2:3", "banner": "3:1"}

_OPERATION_PATTERNS = (
    (re.compile(r"edit|modif|change|inpaint|update|adjust|编辑|編輯", re.I), Operation.EDIT),
    (re.compile(r"vary|variation|variant|similar", re.I), Operation.VARY),
    (re.compile(r"select|choose|pick", re.I), Operation.SELECT),
    (re.compile(r"refine|enhance|improve|upscale", re.I), Operation.REFINE),
    (re.compile(r"image|picture|draw|paint|text2im|txt2img|dall.?e|imagine|illustrat|photo|diffusion", re.I),
     Operation.GENERATE),
)  # fmt: skip
_LETTER = re.compile(r"[^\W_]")
_NUMBER = re.compile(
    r"\s*(?:the\s)?(?:picture|image|number|no\.?)?\s?#?(?:(?P<digits>\d{1,6})(?:\.0)?|(?P<ordinal>[a-z]{3,7}|\d(?:st|nd|rd|th)))"
    r"\s?(?:one|picture|image)?\s*(?:(?:,|;|&|\+|/|and\b)[\d\s#,;&+/adn]*)?",
    re.I,
)
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
_EMPHASIS = re.compile(r"(\*\*|__|\*|(?<!\w)_)(?=\S)(.{1,200}?)(?<=\S)\1(?!\w)")
_HTML = re.compile(
    r"</?(?:b|i|u|p|em|strong|br|span|font|div|code|prompt|description|caption|text)(?:\s[^<>]{0,80})?/?>", re.I
)
_LABEL = re.compile(r"(?:image |picture )?(?:prompt|description|caption)\s{0,2}[:=]\s*|(?:#{1,6}|[->•:：])\s", re.I)
_QUOTED = re.compile(r"([\"'`])([^\"`]*)\1|“([^“”]*)”|«([^«»]*)»|\[([^\[\]]*)\]")
_NEEDS_CLEANING = re.compile(r"[&<*_:=\"'`“«\[#>•-]")  # a prompt without any of these characters is clean
_PLACEHOLDER = re.compile(
    r"[\W_]*(?:(?:(?:your|the|an?|any|image|picture|detailed|short|full|text|complete) )*"
    r"(?:prompts?|descriptions?|words|captions?|\.\.\.|…)"
    r"(?: of (?:what you want|(?:the|your|an?) (?:image|picture|scene)))?"
    r"(?: (?:goes )?here)?|(?:(?:your|the|an?|ai|generated) )*(?:image|picture|photo|alt text|output|result)(?: \d+)?"
    r"|and|or|to|with)?[\W_]*",
    re.I,
)
_ATTRIBUTE = re.compile(
    rf"(?P<bare>{'|'.join(PROMPT_ATTRIBUTES)})\s{{0,3}}=\s{{0,3}}(?P<words>[^\s\"'“\\=][^\"“=]*)(?=\s[\w-]+\s{{0,3}}=|\Z)"
    r"|(?P<name>[\w-]{1,40})\s{0,3}=\s{0,3}"
    r"(?:\\\"(?P<escaped>(?:(?!\\\").)*)\\\"|\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>(?:[^'\\]|\\.|'(?![\s/>,)]|\Z))*)'"
    r"|“(?P<curly>[^”]*)”|(?P<plain>[^\s\"'/>,)]+))",
    re.DOTALL | re.IGNORECASE,
)
_BARE_NUMBER = re.compile(r"\s*#?\d{1,6}\s*")
_UNESCAPED = re.compile(r"\\([\"'\\])")


def find_operation(name: str) -> Operation | None:
    """Return the operation for the name of a tag or function, or None if the name is not about images."""
    return TAG_OPERATIONS.get(name.lower()) or next(
        (operation for kind, operation in _OPERATION_PATTERNS if kind.search(name)), None
    )


def split_attributes(attributes: str) -> tuple[dict[str, str], str]:
    """Split the text between the name of a tag and its > into attributes and a prompt in the wrong place."""
    if not attributes or attributes.isspace():
        return {}, ""
    given: dict[str, str] = {}

    def take(found: re.Match[str]) -> str:
        values = found.group("words", "escaped", "double", "single", "curly", "plain")
        value = next(filter(None, values), "")
        given[(found["name"] or found["bare"]).lower()] = _UNESCAPED.sub(r"\1", value) if "\\" in value else value
        return " "

    rest = _ATTRIBUTE.sub(take, attributes)
    if _BARE_NUMBER.fullmatch(rest):  # <edit 2>
        given.setdefault("of", rest)
    words = rest.strip(" \t\n:=|/->")
    return given, words if " " in words or rest.lstrip().startswith(":") else ""


def make_image_request(
    operation: Operation, words: str, attributes: Mapping[str, str] | None = None, last_picture_number: int = 0
) -> ImageRequest | None:
    """Return the request of a tag or call; None if the operation needs a prompt and there is none.

    `last_picture_number` is the highest image number of the thread: an `id` up to this number is a source image, a
    higher `id` is ignored. The key of the request is 0; the caller that counts the requests replaces it.
    """
    prompt = clean_prompt(words)
    if not attributes and operation in PROMPT_REQUIRED:
        return ImageRequest(0, operation, prompt) if _has_letter(prompt) else None
    given = _resolve_aliases(attributes or {})
    prompt = prompt or clean_prompt(given.get("prompt", ""))
    of = _parse_number(given.get("of", ""))
    if of is None and operation not in PROMPT_REQUIRED:
        of = _parse_number(prompt)
    if (
        of is None
        and "id" in given
        and (named := _parse_number(given["id"])) is not None
        and named <= last_picture_number
    ):
        of = named
    if operation is Operation.GENERATE:
        of = None
    if operation not in PROMPT_REQUIRED and _parse_number(prompt) is not None:
        prompt = ""
    if operation in PROMPT_REQUIRED and not _has_letter(prompt):
        return None
    change = given.get("change", "").strip().lower()
    ratio = f"{given['width']}x{given['height']}" if {"width", "height"} <= {*given} else given.get("ratio", "")
    return ImageRequest(
        0,
        operation,
        prompt,
        source=of,
        change=change if change in ("small", "large") else "",
        sampling=Sampling(aspect_ratio=parse_aspect_ratio(ratio)),
    )


def _resolve_aliases(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the known attributes under our names."""
    named = {name.lower().replace("-", "_"): value for name, value in attributes.items() if value}
    if named.keys() <= _ATTRIBUTE_ALIASES.keys():
        return named
    return {ours: next(named[name] for name in names if name in named) for ours, names in _ATTRIBUTE_ALIASES.items()
            if not named.keys().isdisjoint(names)}  # fmt: skip


def _has_letter(prompt: str) -> bool:
    return bool(_LETTER.search(prompt))


def as_tag(request: ImageRequest) -> str:
    """Return the canonical tag of the request."""
    attributes = "" if request.source is None else f' of="{request.source}"'
    for name, value in (("change", request.change), ("ratio", request.sampling.aspect_ratio)):
        if value:
            attributes += f' {name}="{value}"'
    name, prompt = TAG_NAMES[request.operation], request.prompt.replace("<", "‹")
    return f"<{name}{attributes}>{prompt}</{name}>" if prompt else f"<{name}{attributes}/>"


@lru_cache(maxsize=1)  # the prompt of a tag is cleaned twice: to check it for a placeholder, and for the request
def clean_prompt(words: str) -> str:
    """Remove Markdown, HTML, labels, outer quotes and extra white space from a prompt; cut it at 32,000 characters."""
    if not _NEEDS_CLEANING.search(words):
        return " ".join(words[:MAX_PROMPT_LENGTH].split())
    plain = _HTML.sub(" ", html.unescape(words[:MAX_PROMPT_LENGTH]))
    plain = " ".join(_EMPHASIS.sub(r"\2", plain).split())
    plain = _LABEL.sub("", plain, count=1) if _LABEL.match(plain) else plain
    quoted = _QUOTED.fullmatch(plain)
    return " ".join(next(filter(None, quoted.groups()[1:]), "").split()) if quoted else plain


def is_placeholder(words: str) -> bool:
    """Whether the words are a placeholder, as in `<image>your prompt here</image>`."""
    return bool(_PLACEHOLDER.fullmatch(clean_prompt(words)[:200]))


def parse_aspect_ratio(text: str) -> str:
    """Parse a ratio, a size in pixels or a word such as `wide` to `WIDTH:HEIGHT` in lowest terms; empty if invalid."""
    if not text:
        return ""
    if found := re.fullmatch(r"\s*(\d{1,5})\s*[:x×/*]\s*(\d{1,5})\s*(?:px)?\s*", text, re.I):
        width, height = int(found[1]), int(found[2])
        common = gcd(width, height)
        return f"{width // common}:{height // common}" if width and height else ""
    return _NAMED_RATIOS.get(text.strip().lower(), "")


def _parse_number(text: str) -> int | None:
    """Parse `2`, `#2`, `picture 2` or `the second one`; the first number of several, such as `2, 3`."""
    found = _NUMBER.fullmatch(text[:40]) if text else None
    if found is None:
        return None
    if found["digits"]:
        return int(found["digits"])
    ordinal = found["ordinal"].lower()
    return _ORDINALS.index(ordinal) + 1 if ordinal in _ORDINALS else int(ordinal[0]) if ordinal[0].isdigit() else None
