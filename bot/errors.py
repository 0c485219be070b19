"""The expected errors of the bot: each carries a message for a user.

    BotError               a message for the user who asked
    ├── Refused            the request cannot be accepted as it is
    │   ├── NotFound       the request refers to something that does not exist
    │   └── NotAllowed     the managers do not let the bot answer this user or in this channel
    ├── StorageError       the database or the disk cannot record the request
    ├── Unreachable        the bot cannot show anything in that place any more
    └── ConfigError        the program cannot start with its configuration

Every other exception is a bug: the reply ends visibly and the traceback is logged once, at the edge.
"""

from bot.notices import Argument, Notice, notice, text

INTERNAL_ERROR = notice("bug")  # for a user who met a bug


class BotError(Exception):
    """An error with a message for the user; the cause, if any, is for the log.

    Errors for the operator alone, such as ConfigError, have an English sentence in place of the id.
    """

    language = ""  # that of `text`; the dispatcher sets it to the language of the user

    def __init__(self, id_: str | Notice, /, **arguments: Argument) -> None:
        self.notice = notice(id_, **arguments) if isinstance(id_, str) else id_
        super().__init__(self.notice)

    def __str__(self) -> str:
        """Return the English text, for the log and the operator."""
        return text(self.notice)

    @property
    def text(self) -> str:
        """The text in the language of the user."""
        return text(self.notice, self.language)


class Refused(BotError):
    """The request cannot be accepted as it is; nothing was recorded."""


class NotFound(Refused):
    """The request refers to a thread, picture or message that does not exist."""


class NotAllowed(Refused):
    """The settings of the managers do not let the bot answer this user or in this channel."""


class StorageError(BotError):
    """The database or the disk failed; nothing was recorded, and the user can try again later."""


class Unreachable(BotError):
    """The channel or thread is deleted, closed or forbidden: the bot cannot post there, and a retry cannot succeed."""


class ConfigError(BotError):
    """The program cannot start with its configuration; the sentence names every fault."""
