"""Removes sentences of a message that request no image: questions, refusals, interjections. Pure."""

import re

_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*")
_OPENING = (
    r"[\W_]*(?:(?:and|but|so|ok|okay|well|hm+|oh|ah|hey|hi|hello|thanks|cool|nice|great|by the way|btw|then)\b"
    r"[\s,.!]*)*"
)
_QUESTION = re.compile(
    rf"{_OPENING}(?:(?:what(?!\s+(?:about|if)\b)|why(?!\s+(?:not|dont|don't)\b)|how(?!\s+about\b)|who|whose|which|where"
    r"|is(?!\s+(?:it possible|there a (?:way|chance)))|are(?!\s+you able)|was|were|does|did|has|explain|translate"
    r"|summari[sz]e|remind|calculate|define|write(?![^.!?\n]*\bstory))(?:['’]?s)?\b"
    r"|(?:do|have|should)\s+(?:i|we|you|they|people)\b|when\b[^?]*\?"
    r"|(?:do|can|could|will|would|should)\s+(?!(?:you|we|i|it|me|us|they|he|she|an?|one|two|the|this|that|these|those"
    r"|there|another|some)\b)\w+\b[^?]*\?|would\s+an?\b[^?]*\?"
    r"|(?:list|spell|recommend|suggest|name)\s+\w+|tell\s+(?:me|us)\s+(?:about|more|how|why|what|a\s+fact|something)\b"
    r"|(?:give|tell)\s+(?:me|us)\s[^,.;:]*\b(?:names|ideas|tips|facts|examples|words|reasons)\b)",
    re.IGNORECASE,
)
_STATEMENT = re.compile(
    r"[\W_]*(?:i|we|they|he|she|my\s+\w+)\s+(?:\w+\s+)?(?:have|has|had|own|bought|saw|met|moved)\s+(?!to\b|rather\b)"
    r"|[^,.;:]*\bfavou?rite\s+(?!one|pictures?|images?|versions?)\w",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"[\W_]*(?:please\s+)?(?:(?:dont|don['’]t|do\s+not)\b|(?:i|we)\s+(?:dont|don['’]t|do\s+not)\s+(?:want|need)\b)"
    r"[^,.;!?\n]*[,.;!?\n]*",
    re.IGNORECASE,
)
_SIGH = r"(?:no|nope|hm+|oh|ah|uh|um|ok|okay|well|actually|sorry|wait)"
_INTERJECTION = re.compile(rf"[\W_]*(?:{_SIGH}[\s,]+)*{_SIGH}\s*,\s*", re.IGNORECASE)
_TOLD = re.compile(r"[\W_]*(?:explain|describe|show\s+how)\b.*?\b(?=(?:a|one|two|three|four|\d)\s+pictures?\b)", re.I)


def image_requests_in(text: str) -> str:
    """The sentences that may ask for a picture, without what is said on the way to it."""
    text = "".join(_TOLD.sub("", sentence, count=1) for sentence in _SENTENCE.findall(text))
    said = (
        _REFUSAL.sub("", sentence) if _REFUSAL.match(sentence) else sentence for sentence in _SENTENCE.findall(text)
    )
    return "".join(_INTERJECTION.sub("", sentence, count=1) for sentence in said if not is_question(sentence))


def is_question(sentence: str) -> bool:
    """Whether the sentence wants text: it asks or tells about the world or the images, and requests no image."""
    return bool(_QUESTION.match(sentence) or _STATEMENT.match(sentence))
