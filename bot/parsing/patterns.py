"""The patterns of markup in the answer of a chat model, as a table of rules per zone of the parser. Pure.

`regex` reports partial matches: text that later text could complete. The parser holds such text back. Two properties
make that correct: more text never changes a match, because every pattern ends in text that is present, and every
pattern is bounded, so that little text is held back and the time stays linear.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import regex

from bot.parsing.fast_path import BODY_SEARCH, FENCE_SEARCH, FIRST_TEXT_SEARCH, SearchFunction
from bot.parsing.image_request import TAG_OPERATIONS

END_MARK = "\0"  # follows the last character of an answer
MAX_ASIDE_LENGTH = 40  # characters between <vary of="1"> and its closer; longer text is ordinary text
MAX_LATE_PROMPT_LENGTH = 300  # characters between <image /> and its closer, if a model puts the prompt after the tag
MAX_CALL_LENGTH = 40_000  # characters of a tool call in the text
MAX_BLOCK_LENGTH = 4_000  # characters of a code block that may hold a request
MAX_ADDRESS_LENGTH = 2_000  # characters; a longer address is a file in base64


class Zone(Enum):
    """The zone of the answer that the parser is in."""

    TEXT = "text that the user reads"
    QUOTATION = "a line that begins with >: shown, its tags are mentions"
    ECHO = "a line that repeats a user's message: not shown"
    FENCE = "a code block: shown, its tags are mentions"
    BLOCK = "a code block in an answer that should request an image: a request if it is nothing but tags"
    THOUGHTS = "reasoning of the model: not shown"
    TAG = "behind the name of a tag, up to its >"
    VALUE = "between the quotes of an attribute"
    BODY = "the prompt between two tags"
    CALL = "a tool call that is written out"
    ADDRESS = "the address of a picture or a link"
    AFTER_TURN = "behind the model's own turn: not read"

    __hash__ = object.__hash__  # every step looks up zones, and the hash of `Enum` is slow


@dataclass(frozen=True, slots=True)
class ZoneRules:
    """The constructs of a zone: `search` finds where one may begin, `match` decides which one it is."""

    search: SearchFunction
    matchers: dict[str, Callable[..., Any]]

    def match(self, text: str, at: int, partial: bool) -> Any:
        """Match a construct at a position that `search` found; with `partial`, text that more text could complete."""
        matcher = self.matchers.get(text[at])
        return matcher(text, at, partial=partial) if matcher else None

    def is_cut_off(self, rest: str, least: int) -> bool:
        """Whether the answer ends within a construct, of which at least `least` characters are present."""
        begun = rest.lstrip("*_")
        if begun[:1] not in ("<", "＜", "&") or begun[1:2].isspace() or len(begun) < least:
            return False
        found = self.match(rest, 0, partial=True)
        return found is not None and bool(found.partial)


_RULE_NAMES: dict[Any, tuple[str, ...]] = {}  # the names of the rules of a pattern


def rule_name(found: Any) -> str:
    """Return the name of the rule that matched."""
    for name in _RULE_NAMES[found.re]:
        if found[name] is not None:
            return name
    raise AssertionError(found)


def _matcher(rules: Iterable[tuple[str, str]]) -> Callable[..., Any]:
    rules = list(rules)
    pattern = regex.compile("|".join(f"(?P<{name}>{rule})" for name, rule in rules), regex.IGNORECASE | regex.VERBOSE)
    _RULE_NAMES[pattern] = tuple(name for name, _ in rules)
    return pattern.match


def _zone_rules(*rules: tuple[str, str, str], search: SearchFunction | None = None) -> ZoneRules:
    """Build the rules of a zone from tuples: a name, the characters that a match may begin with, and a pattern."""
    marks = dict.fromkeys("".join(marks for _, marks, _ in rules))
    matchers = {mark: _matcher((name, rule) for name, marks, rule in rules if mark in marks) for mark in marks}
    return ZoneRules(search or re.compile(f"[{re.escape(''.join(marks) + END_MARK)}]").search, matchers)


# Tag names. Names of other systems and languages, and misspelled names, also count, unless the user asked for words.
_VERB = "generate|create|draw|make|show|edit|vary|select|refine"
_LOOKALIKES = (
    rf"(?:{_VERB})[_-](?:image|picture)s?|img|images|pictures?|pic|photo|draw|drawing|paint|painting|sketch"
    "|illustration|figure|generate|variations|image[_-]prompt|bild|zeichnung|imagen|imagem|immagine"
    "|dessin|картинка|изображение|图像|图片|圖像|圖片|画像|이미지|编辑|編輯"
)
_NAMESPACE = "(?:(?:ai|ns|x|bot|tool|mini-?dall-?e-?3?):)?"
_TAG_NAMES = "|".join(TAG_OPERATIONS)
_NAME = rf"{_NAMESPACE}(?P<name>{_TAG_NAMES}|{_LOOKALIKES})(?:[_-]?\d{{1,3}})?"
_LT, _GT = r"(?:[<＜]|&lt;)", r"(?:[>＞]|&gt;)"
_THINK = r"(?:think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad)"
_TOOL = rf"(?:(?:functions|default_api|tools)\.)?(?:(?:{_VERB})_(?:image|picture)s?|(?:dalle\.)?text2im)"
_WRAPPER = r"(?:tool_calls?|function_calls?|tool_code|tool_use|invoke|function|antml:function_calls|antml:invoke)"

_THOUGHTS_BEGIN = rf"<\s{{0,2}}{_THINK}\s{{0,2}}> | \[THINK\] | ◁think▷"
_THOUGHTS_END = rf"<\s{{0,2}}/\s{{0,2}}{_THINK}\s{{0,2}}> | \[/THINK\] | ◁/think▷"
_OPENER = rf"{_LT}(?:\s{{1,3}}(?={_TAG_NAMES}))?{_NAME}(?=[\s/>＞:=|&])"
_LINE_ENDS = r"\n(?!\s{0,2}[>＞])(?=[\s\S]{3}|[^\0]{0,2}\0)"  # the next line does not begin with a >
_CLOSER = (
    rf"{_LT}\s{{0,3}}(?:\\?/|\\)\s{{0,3}}{_NAME}"
    rf"(?:(?:[ \t/][^<>＞&\n\0]{{0,80}}|\s{{0,3}}){_GT}"
    rf" | (?=[^<>＞&\n\0]{{0,80}}(?:[\0<] | {_LINE_ENDS})) | (?=[ \t][^<>＞&\n\0]{{81}}))"
    rf" | \[\s?/\s?{_NAME}\s?\]"
)
_TURN_ENDS = r"<\|(?:im_end|eot_id|endoftext|end_of_text|eos|user|return|call)\|> | </s> | <end_of_turn> | <eos>"
_ROLE = r"<\|(?:im_start|start|start_header_id|header_start)\|>\s{0,2}(?P<role>[a-z]{0,12}+)(?=[\s\S])"
_SPECIAL = r"<[|｜](?!channel|im_start\||start\||start_header|header_start)[^<>|｜\n\0]{1,40}[|｜]>"
_HEADER = r"(?:[^<\n\0]|<\|(?:constrain|channel)\|>){0,120}"  # of a Harmony channel
_CALL = rf"""<\s{{0,2}}{_WRAPPER}(?:(?:=|\s{{1,3}}name\s{{0,2}}=\s{{0,2}}"?)(?P<tool>[\w.]{{1,60}})"?)?\s{{0,2}}>
    | \[TOOL_CALLS?\] | <\|python_tag\|> | <｜tool▁calls?▁begin｜>"""
_JSON = r"""["'](?:prompt|images|name|tool|tool_name|tool_calls?|function|function_call|type|action|arguments
    |parameters|operation|description)["']\s{0,3}:"""

# At the start of a line; tried before the rules of the zone
LINE_START = _matcher(
    [
        ("fence", r"[ ]{0,3}(?P<run>`{3,40}|~{3,40})[^\n`\0]{0,100}(?=[\n\0])"),
        ("quotation", r"[ ]{0,3}>(?=[\s\S])"),
        ("span", r"[ ]{0,3}(?P<ticks>`{1,3})(?P<inside>[^`\n\0]{1,2000})(?P=ticks)[ \t]{0,8}(?=[\n\0])"),
        ("prompt", r"""[*_\#-]{0,4}\s?(?:(?:image|picture|dall[·-]?e|midjourney|stable\ diffusion|drawing)\s)?prompt
            (?:\sfor\b[^\n:*]{0,40})?(?:\*\*|__)?\s{0,2}:(?:\*\*|__)?[ ]{0,3}(?=[^\s/*_])"""),
        ("react", rf"Action\s?:\s{{0,2}}(?P<tool>{_TOOL})\s{{0,3}}\n\s{{0,3}}Action\ Input\s?:\s{{0,3}}(?=[^\s])"),
        ("aside", r"(?:Thought|Observation)\s?:"),
        ("python", rf"(?:print\(|\[)?(?P<tool>{_TOOL})\("),
        ("reference", r"[ ]{0,3}\[\w{1,20}\]:[ ]{0,3}(?=(?:https?|data|sandbox|attachment|file):)"),
    ]
)  # fmt: skip

TEXT = _zone_rules(
    ("opener", "<＜&*_", rf"(?P<marks>\*{{1,3}}|_{{1,3}})?{_OPENER}"),
    ("closer", "<＜&[", _CLOSER),
    ("over", "<", _TURN_ENDS),
    ("turn", "<", _ROLE),
    ("harmony", "<", rf"<\|channel\|>[ ]{{0,2}}(?P<channel>\w{{1,20}})(?P<header>{_HEADER})<\|message\|>"),
    ("broken", "<", r"<\|channel\|>(?:[ ]{0,2}(?:analysis|commentary|final)\b)?+"
        r"(?=[^\n\0]{0,140}[\n\0] | [^\n\0]{140})"),
    ("thoughts", "<[◁", _THOUGHTS_BEGIN),
    ("recant", "<[◁", _THOUGHTS_END),
    ("call", "<[", _CALL),
    ("wrapper", "<[", rf"""<\s{{0,2}}/\s{{0,2}}(?:{_WRAPPER}|parameter|answer)\s{{0,2}}> | <answer>
        | \[/TOOL_CALLS?\] | \[/?INST\]"""),
    ("token", "<", _SPECIAL),
    ("json", "{[", rf"[{{\[]\s{{0,4}}(?:\{{\s{{0,4}})?{_JSON}"),
    ("code", "`", r"(?P<ticks>`{1,40}+)(?=[^`])(?:[^\n\0]{0,300}?[^`\n\0])(?P=ticks)(?=[^`])"),
    ("link", "![", r"(?P<frame>\[(?=!))?(?P<embed>!?)\[(?P<label>[^\[\]\n<]{0,300})\]\(\s{0,3}(?=[^\s<])"),
    ("caption", "!", r"!\[(?P<label>[^\[\]\n<]{1,300})\](?:\[[^\[\]\n]{0,40}\](?=[\s\S]) | (?=[^(\[]))"),
    ("bracket", "[", rf"\[\s?{_NAME}\s?(?:\](?=[^(]) | (?P<inside>[\s:][^\[\]\n]{{0,2000}})\](?=[^(]))"),
    ("address", "hds", r"(?:https?://|data:image/|sandbox:/)(?=\S)"),
    search=FIRST_TEXT_SEARCH,
)  # fmt: skip

ZONE_RULES = {
    Zone.TEXT: TEXT,
    Zone.QUOTATION: _zone_rules(("closing", "\n", r"\n")),
    Zone.ECHO: _zone_rules(("closing", "\n", r"\n")),
    Zone.FENCE: _zone_rules(
        ("closing", "\n", rf"\n[ ]{{0,3}}(?P<run>`{{3,40}}|~{{3,40}})[ \t]{{0,8}}(?=[\n\0]|{_OPENER})"),
        search=FENCE_SEARCH,
    ),
    Zone.THOUGHTS: _zone_rules(
        ("closing", "<[◁", rf"{_THOUGHTS_END} | <\|end\|> | (?=<\|channel\|>\s{{0,2}}(?:final|commentary))"),
    ),
    Zone.TAG: _zone_rules(
        ("value", "=", r"=\s{0,3}(?P<quote>\\?[\"“'])"),
        ("closing", "/>＞&", rf"/\s{{0,3}}{_GT} | {_GT}"),
        ("broken", "\n<", r"\n[ \t]{0,8}\n | <"),
    ),
    Zone.VALUE: _zone_rules(
        ("closing", "\"”'\\", r"(?P<quote>\\?[\"”'])(?=[\s/>＞,;&)\]\0])"),
        ("escape", "\\", r"\\[^\0]"),
        ("broken", "\n", r"\n[ \t]{0,8}\n"),
    ),
    Zone.BODY: _zone_rules(
        ("closing", "<＜&[", _CLOSER),
        ("next", "<＜&", _OPENER),
        ("broken", "<\n", rf"{_TURN_ENDS} | {_ROLE} | {_SPECIAL} | \n[ \t]{{0,8}}(?=\n) | \n(?=[ ]{{0,3}}```)"
            r"| \n(?=(?:\*\*)?(?:User|Human)(?:\*\*)?:)"),
        search=BODY_SEARCH,
    ),
    Zone.CALL: _zone_rules(
        ("closing", "<[", rf"<\s{{0,2}}/\s{{0,2}}{_WRAPPER}\s{{0,2}}> | \[/TOOL_CALLS?\]"
            r"| <[|｜](?:call|eom_id|end|tool▁call▁end|im_end|eot_id)[|｜]>"),
        ("begins", "{([", rf"[{{(] | \[(?=\s{{0,4}}(?:\{{|{_TOOL}\())"),
        ("ends", "})]", r"[})\]]"),
        ("escape", "\\", r"\\[^\0]"),
        ("string", "\"'", r"[\"']"),
    ),
    Zone.ADDRESS: _zone_rules(("closing", " \t\r\n\f\v\u3000()<>\"]", r"[\s()<>\"\]]")),
    Zone.AFTER_TURN: _zone_rules(),
}  # fmt: skip
ZONE_RULES[Zone.BLOCK] = ZONE_RULES[Zone.FENCE]

# The start of a code block that may hold a request
MAY_HOLD_REQUEST = re.compile(rf"\s*(?:[<＜{{\[]|&lt;|(?:print\()?{_TOOL}\()", re.IGNORECASE).match

_HOSTS = "imgur|pollinations|placeholder|oaiusercontent|oaidalle|unsplash|picsum|dummyimage|postimg|ibb.co"
INVENTED_ADDRESS = re.compile(
    rf"(?:data|sandbox|attachment|file):|https?://[^\s/]{{0,100}}(?:{_HOSTS})|.{{0,500}}\.(?:png|jpe?g|gif|webp|bmp)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=256)
def speaker_matcher(names: tuple[str, ...]) -> Any:
    """Return a matcher for the label of a user's turn: `User:`, `Human:` or one of these names with a colon."""
    known = "|".join(map(regex.escape, ("User", "Human", *filter(None, names))))
    return regex.compile(rf"(?:\*\*|__|\#{{1,4}}\ |\[)?(?:{known})(?:\*\*|__|\])?\s?[:：]").match


FIND_CALLS = regex.compile(_CALL, regex.VERBOSE).finditer
OWN_LABEL = regex.compile(
    r"\s{0,9}(?:\*\*)?(?:AI|Assistant|Bot|Mini-DALL[·.-]?E(?: ?3)?|Final Answer)(?:\*\*)?\s?"
    r":(?:\*\*)?[ ]{0,2}(?=[^\s*])"
).match
