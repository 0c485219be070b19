"""The channel and message where a reply is shown, as the database stores it."""

import json
from dataclasses import dataclass

from bot.errors import Unreachable


@dataclass(frozen=True, slots=True)
class ReplyPlace:
    """The channel and message where a reply is shown. The record stores it as JSON with these field names.

    `thread_on` is the id of the message on which a thread is created for the reply, `title` the name of the thread.
    `answers` is the id of the message that the reply refers to, `asker` the id of the user who asked. `quoted` is the
    text that a user wrote into a form, which nobody else saw. `token` is that of the interaction, for a user install.
    """

    channel: int
    answers: int | None = None
    asker: int | None = None
    thread_on: int | None = None
    title: str = ""
    token: str = ""
    quoted: str = ""

    def __str__(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({name: value for name, value in fields.items() if value})

    @classmethod
    def parse(cls, text: str) -> "ReplyPlace":
        """Parse the JSON that `str` returns. Raises Unreachable if the text is empty."""
        if not text:
            raise Unreachable("place-unknown")
        return cls(**json.loads(text))
