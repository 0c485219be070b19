"""The intent of a user's message: an image, words, an explanation of the markup, or unclear. Pure.

The chat model decides the reply; the intent only shows when its answer cannot be right. So every rule prefers
`UNCLEAR` in doubt.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from bot.parsing.image_request import TAG_OPERATIONS, clean_prompt


class Intent(StrEnum):
    """The intent of the user, if their words state it plainly."""

    PICTURE = "picture"
    WORDS = "words"
    MARKUP = "markup"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class ParserContext:
    """The context of an answer: the text of the user's message, and the highest image number of the thread.

    `user_names` are the names of the users in the thread. `thinks_first` is for a model whose reasoning has no opening
    tag.
    """

    text: str = ""
    last_picture_number: int = 0
    user_names: tuple[str, ...] = ()
    thinks_first: bool = False

    @cached_property
    def intent(self) -> Intent:
        """The intent of the message."""
        return detect_intent(self.text, self.last_picture_number > 0)

    @cached_property
    def user_tag_prompts(self) -> set[str]:
        """The prompts in tags that the user wrote, clean and in lower case."""
        return {clean_prompt(words).lower() for words in _USER_TAG.findall(self.text)}


_USER_TAG = re.compile(rf"<\s*(?:{'|'.join(TAG_OPERATIONS)})\b[^<>]{{0,200}}>([^<>]{{1,2000}})", re.IGNORECASE)
_MAX_LENGTH = 2000  # characters of a message that are searched

_DRAW = r"(?:re)?(?:draw|paint|sketch|illustrate|doodle|depict|visuali[sz]e)"
_MAKE = r"(?:make|create|generate|produce|give|show|design|want|need|send|post|render|see|have|get|do|add|with|as|like)"
_PICTURE = (
    r"(?:pictures?|images?|photos?|photographs?|pics?|drawings?|paintings?|illustrations?|sketch(?:es)?|logos?|icons?"
    r"|posters?|stickers?|wallpapers?|portraits?|cartoons?|comics?|mascots?|avatars?|emojis?|memes?|artworks?|renders?)"
)
_CHANGE = (
    r"(?:make|add|remove|delete|change|turn|put|replace|swap|move|recolou?r|paint|give|without|instead|vary|refine"
    r"|crop|zoom|rotate|flip|bigger|smaller|larger|brighter|darker|another one|more like|same but|now (?:with|in|as))"
)
_POLITE = (
    r"(?:(?:please|pls|hey|hi|hello|ok|okay|so|now|then|and|just|also|great|nice|good|cool|thanks|bot|@\S+)[,!. ]+)*"
)
_ASK = (
    rf"{_POLITE}(?:(?:can|could|would|will) (?:you|u|we|i)(?: please| pls)? |let'?s |i(?:'d| would) (?:like|love) "
    r"(?:you )?(?:to )?|i (?:want|need) (?:you )?(?:to )?|you (?:should|can|could) )?"
    r"(?:please |pls )?(?:try to |also |just |now )*"
)

_ASKS_TO_DRAW = re.compile(rf"(?:^|[.!?;\n]\s*|\b(?:then|and|please) ){_ASK}{_DRAW}\b\s+\S", re.I | re.M)
_ASKS_FOR_PICTURE = re.compile(rf"\b{_MAKE}\b(?:\s+\S+){{0,6}}?\s+{_PICTURE}\b", re.I)
_BEGINS_WITH_PICTURE = re.compile(
    rf"{_ASK}(?:an? |the |some |one |two |three |four |\d )?(?:\w+ ){{0,2}}{_PICTURE} (?:of|for|with|showing|where)\b",
    re.I,
)
_ASKS_FOR_CHANGE = re.compile(rf"{_ASK}{_CHANGE}\b", re.I)
_ASKS_FOR_MORE = re.compile(
    rf"{_ASK}(?:(?:see|show|have|get|give) (?:me |us )?)?(?:more|another|others?|variations?)\b", re.I
)
_ASKS_IN_OTHER_LANGUAGE = re.compile(
    r"\b(?:zeichne|male|mal|skizzier|dessine|peins|illustre|dibuja|dibújame|pinta|desenh|disegn|dipingi|teken|schilder|rita"
    r"|tegn|narysuj|namaluj|нарисуй|рисуй|изобрази|намалюй|çiz|vẽ|gambarkan|lukis|piirrä|rajzolj|nakresli|desenează)"
    r"|(?:画|畫|绘|繪|描い|描き|그려|ارسم|बनाओ|วาด)|(?:生成|来|來|给我|給我|要).{0,12}(?:图|圖|画像)",
    re.I,
)

_REFUSES = re.compile(
    rf"\b(?:do not|don'?t|no need to|never|stop)\s+(?:\w+\s+){{0,2}}?(?:{_DRAW}|{_MAKE}ing|{_DRAW}ing)\b"
    rf"|\b(?:without|no) (?:a |any )?{_PICTURE}\b|\b(?:just|only) (?:tell|text|words|answer)\b",
    re.I,
)
_ABOUT_DRAWING = re.compile(
    r"\b(?:what|which|how (?:many|well|good)|why|who|when|where)\b[^.!?\n]{0,60}"
    rf"\b(?:{_DRAW}n?|{_DRAW}s|{_DRAW}ing|drew|painted|{_PICTURE})\b"
    rf"|\b(?:can|do|are|could) you (?:able to |really |even )?{_DRAW}\s*\??\s*$",
    re.I,
)
_QUESTION = re.compile(
    rf"{_POLITE}(?:what|what's|whats|why|who|whose|whom|when|where|which|how|is|are|was|were|does|do|did|has|have|should"
    r"|explain|tell me|write|translate|summari[sz]e|describe|list|define|calculate|solve|fix|debug|review|thanks?"
    r"|thank you"
    r"|was ist|wie|warum|wer|qu'est|pourquoi|comment|qué|por qué|cómo)\b",
    re.I,
)  # fmt: skip
_ASKS_ABOUT_MARKUP = re.compile(
    rf"\b(?:tags?|syntax|mark-?up|xml|protocol|format|commands?)\b[^.!?\n]{{0,60}}|\bhow\b[^.!?\n]{{0,30}}\b(?:ask|request|prompt|tell|get)\b[^.!?\n]{{0,30}}\b(?:{_PICTURE}|{_DRAW})\b",
    re.I,
)
_POINTS_AT_PICTURE = re.compile(rf"\b(?:this|that|these|my|attached|uploaded|above) {_PICTURE}\b", re.I)


def detect_intent(text: str, has_pictures: bool = False) -> Intent:
    """Return the intent of a message. `has_pictures` means that the thread has images to edit."""
    message = text.strip()[:_MAX_LENGTH]
    draws = bool(_ASKS_TO_DRAW.search(message) or _ASKS_IN_OTHER_LANGUAGE.search(message))
    if _REFUSES.search(message):
        return Intent.WORDS if not draws else Intent.UNCLEAR
    asks = bool(_QUESTION.match(message)) or message.endswith(("?", "？"))
    if asks and not draws and _ASKS_ABOUT_MARKUP.search(message):
        return Intent.MARKUP
    if _ABOUT_DRAWING.search(message) and not _ASKS_TO_DRAW.match(message):
        return Intent.WORDS
    if draws or _ASKS_FOR_PICTURE.search(message) or _BEGINS_WITH_PICTURE.match(message):
        return Intent.PICTURE
    if has_pictures and (_ASKS_FOR_CHANGE.match(message) or _ASKS_FOR_MORE.match(message)):
        return Intent.PICTURE
    return Intent.WORDS if asks else Intent.UNCLEAR


def points_at_picture(text: str) -> bool:
    """Whether the message refers to an image as if it were attached: "this photo", "my drawing"."""
    return bool(_POINTS_AT_PICTURE.search(text[:_MAX_LENGTH]))


_ASKS_BACK = re.compile(
    r"\b(?:which|what|who|where|when|how (?:many|big|should|would)|could you (?:tell|describe|share|upload|attach)"
    r"|do you (?:want|prefer|mean|have)|would you (?:prefer|rather)|any (?:particular|specific)"
    r"|please (?:tell|describe|share|upload|attach|specify))\b",
    re.I,
)


def is_clarifying_question(answer: str) -> bool:
    """Whether an answer ends with a question to the user about missing details."""
    ending = answer.strip()[-400:]
    return ending.rstrip("*_ )\"'🙂😊").endswith(("?", "？")) and bool(_ASKS_BACK.search(ending))
