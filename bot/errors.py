"""The expected errors of the bot: the text of each error is a sentence for a user.

    BotError               str(error) is a plain sentence for the user who asked
    ├── Refused            the request cannot be accepted as it is
    │   ├── NotFound       the request refers to something that does not exist
    │   └── NotAllowed     the managers do not let the bot answer this user or in this channel
    ├── StorageError       the database or the disk cannot record the request
    ├── Unreachable        the bot cannot show anything in that place any more
    └── ConfigError        the program cannot start with its configuration

Every other exception is a bug: the reply ends visibly and the traceback is logged once, at the edge.
"""

INTERNAL_ERROR = "Something went wrong here; the log says what."  # the sentence for a user who met a bug


class BotError(Exception):
    """`str(error)` is a sentence for the user; the cause, if any, is for the log."""


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
