"""The settings: what there is to choose, who may choose it where, and which choice holds. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bot.domain import MANAGER, Person, ThreadKey
from bot.errors import Refused
from bot.panel import Field, Scope, Settings, Unasked, Where

RATIOS = ("1:1", "3:2", "2:3", "4:3", "3:4", "16:9", "9:16", "2:1")
MOST_PICTURES = 4  # of one wish
LONGEST_PERSONA = 2_000  # characters
WIDEST_FIRST = (Scope.SERVER, Scope.CHANNEL, Scope.THREAD, Scope.PERSON)
USUAL = "usual"  # stands for no choice, where the choice has no name of its own

Values = Mapping[Scope, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Key:
    """A setting. `choices` says what it can be, given the models that there are; without it, it is free text."""

    name: str
    title: str
    about: str
    choices: Callable[["Models"], Sequence[str]] | None = None
    scopes: tuple[Scope, ...] = WIDEST_FIRST


@dataclass(frozen=True, slots=True)
class Models:
    """The names of the chat models and of the picture models that can be chosen."""

    chat: tuple[str, ...] = ()
    picture: tuple[str, ...] = ()


KEYS = MappingProxyType(
    {
        key.name: key
        for key in (
            Key("chat_model", "Chat model", "Who answers.", lambda models: (USUAL, *models.chat)),
            Key("picture_model", "Picture model", "Who draws.", lambda models: (USUAL, *models.picture)),
            Key("ratio", "Shape", "Width to height of pictures.", lambda models: (USUAL, *RATIOS)),
            Key(
                "count",
                "Pictures of a wish",
                "How many pictures /imagine draws.",
                lambda models: [str(n + 1) for n in range(MOST_PICTURES)],
            ),
            Key(
                "persona",
                "Persona",
                "Who the bot is in its talk, in plain sentences.",
                scopes=(Scope.SERVER, Scope.CHANNEL, Scope.THREAD),
            ),
            Key(
                "answer",
                "Answers",
                "Whether a question in a channel is answered in a thread or in place.",
                lambda models: tuple(Where),
                (Scope.SERVER, Scope.CHANNEL),
            ),
            Key(
                "unasked",
                "Answer without a mention",
                "What is answered although nobody mentioned the bot: its threads, replies to pictures, or nothing.",
                lambda models: tuple(Unasked),
                (Scope.SERVER, Scope.CHANNEL, Scope.THREAD),
            ),
        )
    }
)


def address(scope: Scope, thread: ThreadKey, person: str) -> str:
    """The place in which the choices of this scope are kept."""
    match scope:
        case Scope.SERVER:
            return f"{thread.platform}/{thread.space}"
        case Scope.CHANNEL:
            return f"{thread.platform}/{thread.space}/{thread.channel}"
        case Scope.THREAD:
            return str(thread)
        case Scope.PERSON:
            return f"{thread.platform}:{person}"


def resolved(values: Values, defaults: Settings) -> Settings:
    """What holds: for each setting the choice of the narrowest scope that made one."""
    chosen = {name: value for scope in WIDEST_FIRST for name, value in values.get(scope, {}).items() if name in KEYS}
    return Settings(
        chat_model=chosen.get("chat_model", defaults.chat_model),
        picture_model=chosen.get("picture_model", defaults.picture_model),
        ratio=chosen.get("ratio", defaults.ratio),
        count=int(chosen.get("count", defaults.count)),
        persona=chosen.get("persona", defaults.persona),
        answer=Where(chosen.get("answer", defaults.answer)),
        unasked=Unasked(chosen.get("unasked", defaults.unasked)),
    )


def shown(scope: Scope, values: Values, defaults: Settings, models: Models) -> tuple[Field, ...]:
    """The settings that a scope can make, each with what holds there now and where that comes from."""
    return tuple(_field(key, scope, values, defaults, models) for key in KEYS.values() if scope in key.scopes)


def checked(name: str, value: str, scope: Scope, models: Models) -> str:
    """The value as it is kept. Raises Refused for what cannot be chosen in this scope."""
    key = known(name, scope)
    value = value.strip()
    if key.choices is None:
        if len(value) > LONGEST_PERSONA:
            raise Refused(f"{key.title} may have {LONGEST_PERSONA:,} characters; this has {len(value):,}.")
        return value
    choices = key.choices(models)
    if value not in choices:
        raise Refused(f"{key.title} can be {', '.join(choices)}; not {value[:50]!r}.")
    return "" if value == USUAL else value


def known(name: str, scope: Scope) -> Key:
    """The setting with this name. Raises Refused where there is none in this scope."""
    key = KEYS.get(name)
    if key is None:
        raise Refused(f"There is no setting {name[:50]!r}; there is {', '.join(KEYS)}.")
    if scope not in key.scopes:
        raise Refused(f"{key.title} can be set for {', '.join(key.scopes)}, not for {scope}.")
    return key


def check_rights(person: Person, scope: Scope) -> None:
    """Raises Refused for whoever may not choose in this scope."""
    if scope in (Scope.SERVER, Scope.CHANNEL) and MANAGER not in person.roles:
        raise Refused(f"Only managers can change the settings of the {scope}. Your own you can set for `me`.")


def _field(key: Key, scope: Scope, values: Values, defaults: Settings, models: Models) -> Field:
    seen = WIDEST_FIRST[: WIDEST_FIRST.index(scope) + 1]
    chosen = [each for each in seen if key.name in values.get(each, {})]
    value = values[chosen[-1]][key.name] if chosen else str(getattr(defaults, key.name))
    choices = tuple(map(str, key.choices(models))) if key.choices else ()
    source = str(chosen[-1]) if chosen else "default"
    longest = 0 if choices else LONGEST_PERSONA
    return Field(key.name, key.title, key.about, value or (USUAL if choices else ""), source, choices, longest)
