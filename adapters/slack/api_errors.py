"""Exceptions that a call of Slack's API may raise, and the error code of an exception."""

import aiohttp
from slack_sdk.errors import SlackApiError

API_ERRORS = (SlackApiError, aiohttp.ClientError, TimeoutError)


def error_code(error: Exception) -> str:
    """Return Slack's error code, or the name of the exception's class if Slack sent no answer."""
    if isinstance(error, SlackApiError):
        response = error.response
        return str(response.get("error", "")) if hasattr(response, "get") else str(response)
    return type(error).__name__
