"""Slack's own sample payloads, from the SDKs that Slack publishes, to be delivered as they are."""

import json
from pathlib import Path
from typing import Any

from tests.support.slack_server.contract.schemas import FOLDER
from tests.support.slack_server.link import COMMANDS, EVENTS, INTERACTIVE, Envelope
from tests.support.slack_server.state import Json


def samples(folder: Path = FOLDER) -> dict[str, Envelope]:
    """An envelope for each, by the name of its file; none where the folder is not there."""
    found: dict[str, Envelope] = {}
    for path in sorted((folder / "inbound-java-sdk").rglob("*.json")):
        payload: Json = json.loads(path.read_text(encoding="utf-8"))
        found[path.stem] = Envelope(_kind(payload), payload)
    recorded = folder / "inbound-python-sdk" / "socket_mode_envelopes.json"
    envelopes: Any = json.loads(recorded.read_text(encoding="utf-8")) if recorded.exists() else []
    for number, output in enumerate(envelopes):
        found[f"envelope-{number}"] = Envelope(output["type"], output["payload"])
    return found


def _kind(payload: Json) -> str:
    if "event" in payload:
        payload["type"] = "event_callback"  # left empty in these samples, never by Slack
        return EVENTS
    return COMMANDS if "command" in payload else INTERACTIVE
