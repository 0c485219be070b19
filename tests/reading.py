"""What the parser makes of an answer that arrives in pieces."""

from collections.abc import Iterable

from bot.domain import Text
from bot.tags import Context, Event, TagParser


def read(context: Context, chunks: Iterable[str]) -> list[Event]:
    """All events, with neighbouring words joined."""
    parser = TagParser(context)
    events: list[Event] = []
    for event in [*(event for chunk in chunks for event in parser.feed(chunk)), *parser.end()]:
        if isinstance(event, Text) and events and isinstance(events[-1], Text):
            events[-1] = Text(events[-1].markdown + event.markdown)
        else:
            events.append(event)
    return events
