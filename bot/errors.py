"""What can go wrong in a way that a person can be told.

    BotError               str(error) is a plain sentence for the person who asked
    ├── Refused            the request cannot be accepted as it is
    │   ├── NotFound       it speaks of something that is not there
    │   └── NotLet         the managers have not let this person, or this place, be answered
    ├── Unrecorded         the database or the disk refuses to record it
    ├── Unreachable        nothing can be shown in that place any more
    └── ConfigError        the program cannot start as it is configured

Everything else that is raised is a bug: the reply ends visibly and the traceback is logged once, at the edge.
"""


class BotError(Exception):
    """`str(error)` is a sentence for the person; the cause, if any, is for the log."""


class Refused(BotError):
    """The request cannot be accepted as it is; nothing was recorded."""


class NotFound(Refused):
    """The request speaks of a thread, picture or message that is not there."""


class NotLet(Refused):
    """Managers have said who is answered and where, and it is not this person, or not here."""


class Unrecorded(BotError):
    """The database or the disk refuses; nothing was recorded, and it may be tried again later."""


class Unreachable(BotError):
    """The place is gone, closed or forbidden: nothing can be shown in it, and trying again is in vain."""


class ConfigError(BotError):
    """The program cannot start as it is configured; the sentence names every fault."""
