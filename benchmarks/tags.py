"""Measures the speed of the stream parser: `python -m benchmarks.tags`.

A long answer with prose, lists, code, links and images is fed in chunks of five bytes, about the size of a token. The
baseline does the least that any parser must do: it makes one `Text` of each chunk. Both run in turns; the median
counts.
"""

import statistics
import time
from collections.abc import Callable, Sequence

from bot.domain import Text
from bot.parsing.stream_parser import ParserContext, StreamParser

ANSWERS = 1000
CHUNK = 5
REPEATS = 5
ANSWER = (  # models do not wrap their lines
    "Once upon a time there was a lighthouse keeper who painted the sea every morning, and every evening the tide took "
    'the picture away. She never minded. "The sea is only borrowing it," she said, and began the next one.\n\n'
    "<image>a lighthouse keeper in a yellow coat painting the sea at dawn, soft light, watercolor</image>\n\n"
    "Her brushes were older than the lighthouse itself:\n\n"
    "1. **A broad one** for skies, made of badger hair.\n"
    "2. *A thin one* for gulls; it had three hairs left, and she knew each of them by name.\n"
    "3. One that she never used, see [the catalogue](https://example.org/brushes) for why.\n\n"
    'One day the tide brought a picture back. <edit of="1" change="large">the same lighthouse keeper in a yellow coat '
    'holding a framed painting of a storm, night, lantern light, watercolor</edit> It was not one of hers. "Now who," '
    'she asked the gulls, "paints with three < four colours?" The gulls did not know, so she measured it with a few '
    "lines of Python:\n\n"
    "```python\ndef colours(picture):\n    return len({pixel for row in picture for pixel in row})\n```\n\n"
    "and found that there were five, one of which has no name. She looked at the horizon for a long while, as one "
    "looks at a friend who has kept a secret, and then she laughed, because she knew at last who "
    "had been taking lessons "
    "all these years. From then on she left a jar of clean water and a dry brush on the lowest step "
    "of the stairs. In the "
    "morning the jar was always empty, and the brush was always wet.\n\n"
    "In the village people began to say that the tides had grown careful. They came in on tiptoe, looked around for a "
    "moment, and went out again with something under the arm. Nobody minded, for the beach had never been so tidy, and "
    "the children found shells in colours that nobody could name either. When a man from the city asked the keeper "
    "what a picture of hers would cost, she told him that they were all lent out, but that he might wait for one to be "
    "given back, as everybody else did. He waited for eleven years. On the last evening of the eleventh a wave laid a "
    "small, square painting at his feet, still wet, of a man who is looking at the water, and he "
    "had never seen himself so "
    "patient. That is the end of the story.\n"
)


def megabytes_per_second(read: Callable[[Sequence[str]], None], chunks: Sequence[str]) -> float:
    """Measure how fast the answer is parsed."""
    began = time.perf_counter()
    for _ in range(ANSWERS):
        read(chunks)
    return ANSWERS * len(ANSWER) / (time.perf_counter() - began) / 1e6


def parse(chunks: Sequence[str]) -> None:
    """Parse the answer as the bot does, with a new parser."""
    parser = StreamParser(ParserContext("tell me a story with pictures"))
    for chunk in chunks:
        parser.feed(chunk)
    parser.end()


def wrap(chunks: Sequence[str]) -> None:
    """Make a `Text` of each chunk."""
    for chunk in chunks:
        _ = [Text(chunk)]


def time_additions() -> float:
    """Return the seconds of ten million additions in a bare loop, to compare figures of different machines."""
    total, began = 0, time.perf_counter()
    for number in range(10_000_000):
        total += number
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print."""
    chunks = [ANSWER[at : at + CHUNK] for at in range(0, len(ANSWER), CHUNK)]
    speeds = [(megabytes_per_second(parse, chunks), megabytes_per_second(wrap, chunks)) for _ in range(REPEATS)]
    parsed, wrapped = (statistics.median(each) for each in zip(*speeds, strict=True))
    print(f"{ANSWERS} answers of {len(ANSWER)} bytes in chunks of {CHUNK} bytes, one core")
    print(f"tag parser {parsed:.1f} MB/s   one Text a chunk {wrapped:.1f} MB/s   ratio {wrapped / parsed:.1f}"
          "   (goal: at least 5 MB/s)")  # fmt: skip
    print(f"ten million additions on this core: {time_additions():.2f} s")


if __name__ == "__main__":
    main()
