"""Checks the bodies that were sent to the simulated Discord against Discord's own document."""

import re
from collections.abc import Iterable

from simcord import HttpLogEntry

from tests.support.discord_server.contract import Violation, read, too_long


def violations(requests: Iterable[HttpLogEntry]) -> list[Violation]:
    """Return the bodies that Discord would refuse; empty without its document."""
    contract = read()
    if contract is None:
        return []
    routes = [(route, _pattern(route)) for route in contract.schemas]
    found = []
    for request in requests:
        output = f"{request.method.upper()} {request.path.partition('?')[0].removeprefix('/api/v10')}"
        route = next((route for route, pattern in routes if pattern.fullmatch(output)), None)
        if route and request.json is not None:
            fault = contract.fault(route, request.json)
            if fault is None and isinstance(request.json, dict):
                fault = too_long(route, request.json)
            found += [fault] if fault else []
    return found


def _pattern(route: str) -> "re.Pattern[str]":
    """Return the pattern of a route with names in braces."""
    return re.compile(
        "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", route))
    )
