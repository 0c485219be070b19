"""Error codes of Discord, the remedy for each code, and the sentence that asks for a missing permission. Pure."""

from enum import Enum, IntEnum, auto

import discord

from bot.notices import Notice, UserText, listed, notice


class ErrorCode(IntEnum):
    """The error codes of Discord for which the adapter has a remedy; Discord docs, topics/opcodes-and-status-codes."""

    UNKNOWN_CHANNEL = 10003
    UNKNOWN_MESSAGE = 10008
    UNKNOWN_WEBHOOK = 10015  # also of an interaction whose token expired
    UNKNOWN_INTERACTION = 10062
    TOO_MANY_OLD_EDITS = 30046  # edits of a message that is older than an hour
    TOO_LARGE = 40005
    ALREADY_ACKNOWLEDGED = 40060
    MISSING_ACCESS = 50001
    CANNOT_MESSAGE_USER = 50007
    MISSING_PERMISSIONS = 50013
    INVALID_TOKEN = 50027  # also of an interaction after 15 minutes
    THREAD_ARCHIVED = 50083
    CANNOT_REPLY_WITHOUT_HISTORY = 160002  # a reply needs the permission to read the message history
    THREAD_EXISTS = 160004
    THREAD_LOCKED = 160005


TOO_LATE = (ErrorCode.UNKNOWN_INTERACTION, ErrorCode.ALREADY_ACKNOWLEDGED)
EXPIRED = (  # the token of the interaction expired, or the message was deleted
    ErrorCode.UNKNOWN_WEBHOOK,
    ErrorCode.INVALID_TOKEN,
    ErrorCode.UNKNOWN_INTERACTION,
    ErrorCode.UNKNOWN_MESSAGE,
)
GIVE_UP = (  # the bot cannot post there
    ErrorCode.UNKNOWN_CHANNEL,
    ErrorCode.MISSING_ACCESS,
    ErrorCode.MISSING_PERMISSIONS,
    ErrorCode.CANNOT_MESSAGE_USER,
    ErrorCode.THREAD_LOCKED,
    ErrorCode.INVALID_TOKEN,
    ErrorCode.UNKNOWN_WEBHOOK,
)


class WriteRemedy(Enum):
    """The remedy if Discord refuses to post, edit or delete a message."""

    RETRY = auto()  # later, without a change
    SKIP = auto()  # the message was deleted: do not write it again
    REPOST = auto()  # the message is too old for so many edits: post it again
    UNARCHIVE = auto()  # the thread is archived
    SHRINK_FILE = auto()  # the file is too large
    DROP_FILE = auto()  # the bot may not attach files
    DROP_REFERENCE = auto()  # a reply needs the permission to read the history: post without a reference
    GIVE_UP = auto()  # the bot cannot post there


def choose_remedy(error: discord.HTTPException, has_file: bool, may_attach: bool) -> WriteRemedy:
    """Choose the remedy for a refused request. `has_file` says whether the request carried a file."""
    match error.code:
        case ErrorCode.UNKNOWN_MESSAGE:
            return WriteRemedy.SKIP
        case ErrorCode.TOO_MANY_OLD_EDITS:
            return WriteRemedy.REPOST
        case ErrorCode.THREAD_ARCHIVED:
            return WriteRemedy.UNARCHIVE
        case ErrorCode.TOO_LARGE:
            return WriteRemedy.SHRINK_FILE
        case ErrorCode.CANNOT_REPLY_WITHOUT_HISTORY:
            return WriteRemedy.DROP_REFERENCE
        case ErrorCode.MISSING_PERMISSIONS if has_file and not may_attach:
            return WriteRemedy.DROP_FILE
        case code if code in GIVE_UP:
            return WriteRemedy.GIVE_UP
    return WriteRemedy.SHRINK_FILE if error.status == 413 else WriteRemedy.RETRY


def missing_permissions(permissions: discord.Permissions, in_thread: bool, creates_thread: bool) -> list[str]:
    """Return the permissions that the bot lacks to answer there, by their names in discord.py."""
    needed = ["view_channel", "send_messages_in_threads" if in_thread else "send_messages", "attach_files"]
    needed += ["create_public_threads", "send_messages_in_threads"] if creates_thread else []
    needed.append("read_message_history")
    return [name for name in dict.fromkeys(needed) if not getattr(permissions, name)]


def permission_request(missing: list[str], where: UserText, owner: UserText) -> Notice:
    """Return the message that asks the owner, or anybody with Manage Roles, for the missing permissions."""
    names = [notice(f"permission-{name}") for name in missing]
    match names:
        case []:
            return notice("discord-a-permission", channel=where, owner=owner)
        case [name]:
            return notice("discord-permission", permission=name, channel=where, owner=owner)
    return notice("discord-permissions", permissions=listed(names), channel=where, owner=owner)
