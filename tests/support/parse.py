"""What the parser makes of an answer that arrives in pieces."""

from collections.abc import Iterable

from bot.domain import Text
from bot.parsing.stream_parser import Event, ParserContext, StreamParser


def read(context: ParserContext, chunks: Iterable[str]) -> list[Event]:
    """All events, with neighbouring words joined."""
    parser = StreamParser(context)
    return joined([*(event for chunk in chunks for event in parser.feed(chunk)), *parser.end()])


def joined(events: Iterable[Event]) -> list[Event]:
    """The same events, with neighbouring words joined."""
    found: list[Event] = []
    for event in events:
        if isinstance(event, Text) and found and isinstance(found[-1], Text):
            found[-1] = Text(found[-1].markdown + event.markdown)
        else:
            found.append(event)
    return found
