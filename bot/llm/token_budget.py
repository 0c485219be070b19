"""The token budget of a chat model: token counts, estimated without a tokenizer, and shortened texts. Pure."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import ceil

from bot.llm.messages import ChatMessage, ModelProfile

IMAGE_TOKENS = 800  # tokens of an image of 1024 pixels; models count from 85 to about 1,600
MESSAGE_OVERHEAD = 8  # tokens of the chat template per message: role, delimiters, line breaks
MAX_ANSWER_TOKENS = 2048  # tokens
OMITTED_MIDDLE = " [… the middle is left out …] "
MIN_KEPT_LENGTH = 40  # characters of a text that always stay
FULL_PROMPT_LENGTH, SHORT_PROMPT_LENGTH = 1_000, 200  # characters of an image's prompt, with and without enough room

_EUROPEAN_LETTER = re.compile(r"[\u0080-\u052f]")
_ENGLISH_LETTER = re.compile(r"[A-Za-z \n\t]")


def input_budget(profile: ModelProfile) -> int:
    """Return the tokens for the whole input. A quarter of the context window, at most 2048, is left for the answer."""
    return profile.context_window - min(profile.context_window // 4, MAX_ANSWER_TOKENS)


def estimate_tokens(text: str) -> int:
    """Return at least the number of tokens that common tokenizers make of ordinary text.

    Common tokenizers are byte-level BPEs. English words take 4 to 5 bytes a token; the estimate uses 3.2 to leave a
    margin, also for European letters of two bytes. Every digit and punctuation mark may be a token of its own (Qwen
    and Llama split numbers). A character of another script takes about one token, and a character beyond the first
    Unicode plane, such as an emoji, up to three.
    """
    words = len(_ENGLISH_LETTER.findall(text))
    if text.isascii():
        return ceil(words / 3.2 + len(text) - words)
    european = len(_EUROPEAN_LETTER.findall(text))
    beyond = len(text.encode("utf-16-le", "surrogatepass")) // 2 - len(text)
    return ceil(words / 3.2 + european * 2 / 3.2 + (len(text) - words - european) + 2 * beyond)


def estimate_message_tokens(message: ChatMessage) -> int:
    """Return the tokens of a message with its images and the chat template."""
    return MESSAGE_OVERHEAD + estimate_tokens(message.text) + IMAGE_TOKENS * len(message.images)


def truncate_middle(text: str, max_tokens: int) -> str:
    """Return the text within `max_tokens`: its beginning and end if it is too long, at least 40 characters in all."""
    if estimate_tokens(text) <= max_tokens or len(text) <= MIN_KEPT_LENGTH:
        return text
    kept = bisect_right(range(len(text)), max_tokens, key=lambda size: estimate_tokens(_keep_ends(text, size))) - 1
    return _keep_ends(text, max(kept, MIN_KEPT_LENGTH))


def _keep_ends(text: str, size: int) -> str:
    return text[: size - size // 2] + OMITTED_MIDDLE + text[len(text) - size // 2 :]


def shorten(line: str, max_length: int) -> str:
    """Return the beginning of a line, at most `max_length` characters with the ellipsis."""
    return line if len(line) <= max_length else line[: max_length - 1].rstrip() + "…"


def list_pictures(descriptions: Sequence[tuple[int, str]], needed: Iterable[int], max_tokens: int) -> str:
    """List the images by number and description within `max_tokens`; `needed` images come first, then the newest.

    Images that do not fit are counted: `36 older ones, #1 to #37`.
    """
    for longest in (FULL_PROMPT_LENGTH, SHORT_PROMPT_LENGTH):
        items = {number: f'#{number} "{shorten(words, longest)}"' for number, words in descriptions}
        if estimate_tokens(whole := "; ".join(items.values())) <= max_tokens:
            return whole
    first = set(needed)
    chosen: set[int] = set()
    left = max_tokens - estimate_tokens(_describe_older(items))
    for number in sorted(items, key=lambda number: (number in first, number), reverse=True):
        size = estimate_tokens(items[number]) + 2
        if size <= left:
            chosen.add(number)
            left -= size
    kept = [item for number, item in items.items() if number in chosen]
    return "; ".join([_describe_older(items.keys() - chosen), *kept])


def _describe_older(numbers: Iterable[int]) -> str:
    left_out = sorted(numbers)
    if len(left_out) == 1:
        return f"1 older one, #{left_out[0]}"
    return f"{len(left_out)} older ones, #{left_out[0]} to #{left_out[-1]}"


def keep_newest(clauses: Sequence[str], max_tokens: int) -> str:
    """Join the newest of the clauses (oldest first) to one line within `max_tokens`; omitted clauses are counted."""
    kept: list[str] = []
    left = max_tokens - estimate_tokens(f"{len(clauses)} more messages; ")
    for clause in reversed(clauses):
        left -= estimate_tokens(clause) + 2
        if left < 0:
            break
        kept.insert(0, clause)
    more = len(clauses) - len(kept)
    counted = [f"{more} more message{'s' if more > 1 else ''}"] if more else []
    return "; ".join([*counted, *kept])
