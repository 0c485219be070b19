"""Error codes of Discord, the remedy for each code, and the sentence that asks for a missing permission. Pure."""

from enum import Enum, auto

import discord

# Discord docs, topics/opcodes-and-status-codes
UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_INTERACTION = 10003, 10008, 10062
MISSING_ACCESS, MISSING_PERMISSIONS = 50001, 50013
CANNOT_MESSAGE_USER = 50007
TOO_LARGE = 40005
ACKNOWLEDGED = 40060
OLD_EDITS = 30046
ARCHIVED = 50083
THREAD_EXISTS = 160004
THREAD_LOCKED = 160005
TOKEN_EXPIRED = 50027
TOO_LATE = (UNKNOWN_INTERACTION, ACKNOWLEDGED)

PERMISSIONS = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "create_public_threads": "Create Public Threads",
    "attach_files": "Attach Files",
    "read_message_history": "Read Message History",
}


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
        case 10008:
            return WriteRemedy.SKIP
        case 30046:
            return WriteRemedy.REPOST
        case 50083:
            return WriteRemedy.UNARCHIVE
        case 40005:
            return WriteRemedy.SHRINK_FILE
        case 160002:
            return WriteRemedy.DROP_REFERENCE
        case 50013 if has_file and not may_attach:
            return WriteRemedy.DROP_FILE
        case 10003 | 50001 | 50013 | 50007 | 160005 | 50027 | 10015:
            return WriteRemedy.GIVE_UP
    return WriteRemedy.SHRINK_FILE if error.status == 413 else WriteRemedy.RETRY


def missing_permissions(permissions: discord.Permissions, in_thread: bool, creates_thread: bool) -> list[str]:
    """Return the permissions that the bot lacks to answer there, with the names of Discord's settings."""
    needed = ["view_channel", "send_messages_in_threads" if in_thread else "send_messages", "attach_files"]
    needed += ["create_public_threads", "send_messages_in_threads"] if creates_thread else []
    needed.append("read_message_history")
    return [PERMISSIONS[name] for name in dict.fromkeys(needed) if not getattr(permissions, name)]


def permission_request(missing: list[str], where: str, owner: str) -> str:
    """Return the sentence that asks the owner, or anybody with Manage Roles, for the missing permissions."""
    what = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1]))) if missing else "a permission"
    return f"I lack the permission {what} in {where}. {owner}, or anybody with Manage Roles, can grant it."
