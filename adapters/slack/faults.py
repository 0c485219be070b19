"""What can go wrong with a call to Slack, and what Slack says it was."""

import aiohttp
from slack_sdk.errors import SlackApiError

FAULTS = (SlackApiError, aiohttp.ClientError, TimeoutError)


def code(error: Exception) -> str:
    """What Slack says is wrong; for what is no answer of Slack's, what kind of fault it is."""
    if isinstance(error, SlackApiError):
        response = error.response
        return str(response.get("error", "")) if hasattr(response, "get") else str(response)
    return type(error).__name__
