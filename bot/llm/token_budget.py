"""The token budget of a chat model: token counts, estimated without a tokenizer, and shortened texts. Pure."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import ceil

from bot.llm.messages import Manners, Said

IMAGE = 800  # tokens of an image of 1024 pixels; models count from 85 to about 1,600
MESSAGE = 8  # tokens of the chat template per message: role, delimiters, line breaks
LONGEST_ANSWER = 2048  # tokens
MIDDLE = " [… the middle is left out …] "
FEWEST = 40  # characters of a text that always stay
WHOLE, SHORT = 1_000, 200  # characters of an image's prompt, with and without enough room

_EUROPEAN = re.compile(r"[\u0080-\u052f]")
_WORDS = re.compile(r"[A-Za-z \n\t]")


def room(manners: Manners) -> int:
    """Return the tokens for the whole input. A quarter of the context window, at most 2048, is left for the answer."""
    return manners.context - min(manners.context // 4, LONGEST_ANSWER)


def tokens(text: str) -> int:
    """Return at least the number of tokens that common tokenizers make of ordinary text.

    Common tokenizers are byte-level BPEs. English words take 4 to 5 bytes a token; the estimate uses 3.2 to leave a
    margin, also for European letters of two bytes. Every digit and punctuation mark may be a token of its own (Qwen
    and Llama split numbers). A character of another script takes about one token, and a character beyond the first
    Unicode plane, such as an emoji, up to three.
    """
    words = len(_WORDS.findall(text))
    if text.isascii():
        return ceil(words / 3.2 + len(text) - words)
    european = len(_EUROPEAN.findall(text))
    beyond = len(text.encode("utf-16-le", "surrogatepass")) // 2 - len(text)
    return ceil(words / 3.2 + european * 2 / 3.2 + (len(text) - words - european) + 2 * beyond)


def cost(said: Said) -> int:
    """Return the tokens of a message with its images and the chat template."""
    return MESSAGE + tokens(said.text) + IMAGE * len(said.images)


def cut(text: str, most: int) -> str:
    """Return the text within `max_tokens`: its beginning and end if it is too long, at least 40 characters in all."""
    if tokens(text) <= most or len(text) <= FEWEST:
        return text
    kept = bisect_right(range(len(text)), most, key=lambda size: tokens(_ends(text, size))) - 1
    return _ends(text, max(kept, FEWEST))


def _ends(text: str, size: int) -> str:
    return text[: size - size // 2] + MIDDLE + text[len(text) - size // 2 :]


def shortened(line: str, longest: int) -> str:
    """Return the beginning of a line, at most `max_length` characters with the ellipsis."""
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def listing(described: Sequence[tuple[int, str]], needed: Iterable[int], most: int) -> str:
    """List the images by number and description within `max_tokens`; `needed` images come first, then the newest.

    Images that do not fit are counted: `36 older ones, #1 to #37`.
    """
    for longest in (WHOLE, SHORT):
        items = {number: f'#{number} "{shortened(words, longest)}"' for number, words in described}
        if tokens(whole := "; ".join(items.values())) <= most:
            return whole
    first = set(needed)
    chosen: set[int] = set()
    left = most - tokens(_older(items))
    for number in sorted(items, key=lambda number: (number in first, number), reverse=True):
        size = tokens(items[number]) + 2
        if size <= left:
            chosen.add(number)
            left -= size
    kept = [item for number, item in items.items() if number in chosen]
    return "; ".join([_older(items.keys() - chosen), *kept])


def _older(numbers: Iterable[int]) -> str:
    left_out = sorted(numbers)
    if len(left_out) == 1:
        return f"1 older one, #{left_out[0]}"
    return f"{len(left_out)} older ones, #{left_out[0]} to #{left_out[-1]}"


def newest_within(clauses: Sequence[str], most: int) -> str:
    """Join the newest of the clauses (oldest first) to one line within `max_tokens`; omitted clauses are counted."""
    kept: list[str] = []
    left = most - tokens(f"{len(clauses)} more messages; ")
    for clause in reversed(clauses):
        left -= tokens(clause) + 2
        if left < 0:
            break
        kept.insert(0, clause)
    more = len(clauses) - len(kept)
    counted = [f"{more} more message{'s' if more > 1 else ''}"] if more else []
    return "; ".join([*counted, *kept])
