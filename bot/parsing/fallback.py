"""The fallback for an answer without the image that the user asked for: detection, and the request to use instead.

Pure. The reminder to the chat model is `prompts/repair.md`.
"""

import re

from bot.domain import ImageRequest, Operation, Picture
from bot.parsing.intent import Intent, ParserContext, detect_intent, is_clarifying_question, points_at_picture

_PICTURE = r"(?:pictures?|images?|photos?|drawings?|paintings?|sketch(?:es)?|illustrations?|logos?)"
_PROMISE = re.compile(
    r"\b(?:here(?:'s| is| are|'re)|enjoy|i(?:'ve| have) (?:drawn|painted|made|created|generated))\b"
    rf"[^.!?\n]{{0,60}}\b{_PICTURE}\b"
    r"|\bi(?:'ll| will| am going to|'m going to)\s(?:now |gladly |happily )?"
    r"(?:draw|paint|sketch|illustrate|render)\b"
    rf"|\b(?:generating|drawing|creating|painting)\b[^.!?\n]{{0,30}}\b{_PICTURE}\b",
    re.IGNORECASE,
)
_REQUEST_PHRASE = re.compile(
    r"\A(?:(?:please|pls|hey|hi|hello|ok|okay|so|now|and|then|just|bot|@\S+|can you|could you|would you|will you|can we"
    r"|i(?:'d| would) like(?: you)?(?: to)?|i want(?: you)?(?: to)?|i need|let'?s|try to|kindly)[\s,!.:]+)*"
    r"(?:(?:(?:re)?draw|paint|sketch|illustrate|generate|create|make|design|produce|render|show|give|get|send)\s+"
    rf"(?:(?:me|us)\s+)?)?(?:(?:an?|the|some)\s+(?:\w+\s+)?{_PICTURE}\s+(?:of|with|showing)\s+)?",
    re.IGNORECASE,
)
_POLITE_ENDING = re.compile(r"[\s,]*(?:please|pls|for me|thanks|thank you)?[\s.!?？]*\Z", re.IGNORECASE)


def is_image_missing(context: ParserContext, answer: str) -> bool:
    """Whether an answer without image requests should have requested an image.

    False if the answer asks the user for missing details, or if the user refers to an image that was never sent. If
    the intent is unclear, True only for an answer that promises an image.
    """
    if is_clarifying_question(answer) or (not context.last_picture_number and points_at_picture(context.text)):
        return False
    if context.intent is Intent.UNCLEAR:
        return bool(_PROMISE.search(answer))
    return context.intent is Intent.PICTURE


def build_fallback_request(text: str, newest: Picture | None) -> ImageRequest:
    """Build a request from the words of the user.

    An edit of the `newest` image if there is one and the words do not plainly ask for a new image.
    """
    plain = " ".join(text.split())
    if newest is None or detect_intent(text) is Intent.PICTURE:
        prompt = _POLITE_ENDING.sub("", _REQUEST_PHRASE.sub("", plain, count=1), count=1)
        return ImageRequest(0, Operation.GENERATE, prompt or plain)
    change = _POLITE_ENDING.sub("", plain, count=1) or plain
    return ImageRequest(0, Operation.EDIT, ", ".join(filter(None, (newest.request.prompt, change))))
