"""Finds mentions in texts of the bot. Escaped text mentions nobody; code counts, to be safe."""

import re
from collections.abc import Iterator

from tests.support.slack_server.faults import Call
from tests.support.slack_server.state import Json, parts

LIVE = re.compile(r"<(?:!(channel|here|everyone)|!subteam\^(\w+)|@(\w+))(?:\|[^<>]*)?>")
NAMED = re.compile(r"(?<!\w)@(channel|here|everyone)\b")  # only where names are linked
MENTIONS = {"user": "user_id", "usergroup": "usergroup_id", "broadcast": "range"}  # in rich text


def called(call: Call) -> Iterator[tuple[str, str]]:
    """Whom a request calls, and in which text."""
    linked = call.args.get("parse") == "full" or call.args.get("link_names") in (True, "true", "1")
    for text in _texts(call.args):
        yield from ((next(filter(None, found.groups())), text) for found in LIVE.finditer(text))
        if linked:
            yield from ((found[1], text) for found in NAMED.finditer(text))
    for part in parts(call.args.get("blocks")):
        if part.get("type") in MENTIONS and MENTIONS[part["type"]] in part:
            yield str(part[MENTIONS[part["type"]]]), ""


def _texts(args: Json) -> Iterator[str]:
    yield from (args[key] for key in ("text", "markdown_text", "initial_comment") if isinstance(args.get(key), str))
    for part in parts([args.get("blocks"), args.get("chunks"), args.get("attachments")]):
        kind = part.get("type")
        if kind in ("mrkdwn", "markdown", "markdown_text", "text") and isinstance(part.get("text"), str):
            yield part["text"]
        elif kind == "task_update" or kind is None:  # a task, or an attachment
            keys = ("details", "output", "text", "pretext", "fallback")
            yield from (part[key] for key in keys if isinstance(part.get(key), str))
