"""The role MANAGER, which the setting `managers` gives to users and roles. Pure."""

from dataclasses import replace

import regex

from bot.domain import MANAGER, Person
from bot.settings.values import Settings

_ID = regex.compile(r"<(?:!subteam\^|[@#!&]*)([A-Z0-9]+)(?:\|[^>]*)?>|[^\s,;]+")


def add_manager_role(settings: Settings, person: Person) -> Person:
    """The person, with the role MANAGER if the setting `managers` names them or one of their roles."""
    if {person.id, *person.roles} & parse_ids(settings.managers):
        return replace(person, roles=person.roles | {MANAGER})
    return person


def parse_ids(text: str) -> frozenset[str]:
    """The ids in a list of mentions and ids."""
    return frozenset(match[1] or match[0] for match in _ID.finditer(text))
