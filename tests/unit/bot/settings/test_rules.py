"""Which choice holds, who may make it, and what can be chosen."""

from itertools import product

import pytest

from bot.domain import Person, ThreadKey
from bot.errors import Refused
from bot.notices import listed, text
from bot.settings.rules import (
    ASPECT_RATIOS,
    MAX_PERSONA_LENGTH,
    SETTINGS,
    WIDEST_FIRST,
    AvailableModels,
    find_setting,
    list_fields,
    resolve_settings,
    scope_key,
    setting_message,
    validate_value,
)
from bot.settings.rules import check_may_change as check
from bot.settings.values import ReplyIn, ReplyMode, Scope, Settings
from bot.storage.store import Store
from tests.support.doubles import ANN, BOB, CID, THREAD

MODELS = AvailableModels(("wise",), ("flat", "deep"))
ALL = {
    "chat_model": ("wise", "quick", "slow", "witty", "dull"),
    "picture_model": ("flat", "deep", "wide", "tall", "thin"),
    "ratio": ("1:1", "3:2", "2:3", "16:9", "2:1"),
    "count": ("2", "3", "4", "1", "2"),
    "persona": ("A pirate.", "A poet.", "A cat.", "A king.", "A fool."),
    "answer": ("in place", "thread", "in place", "thread", "in place"),
    "unasked": ("never", "pictures", "threads", "never", "pictures"),
}


@pytest.mark.parametrize("key", ALL)
def test_the_narrowest_choice_wins(key: str) -> None:
    """Of every set of scopes that chose, the narrowest holds; without any, the default does."""
    usual = Settings(
        chat_model="c", picture_model="p", ratio="9:16", count=3, persona="Nobody.", answer=ReplyIn.IN_PLACE,
        unasked=ReplyMode.PICTURES,
    )  # fmt: skip
    for chosen in product((False, True), repeat=len(WIDEST_FIRST)):
        values = {s: {key: ALL[key][n]} for n, s in enumerate(WIDEST_FIRST) if chosen[n]}
        holds = [ALL[key][n] for n in range(len(WIDEST_FIRST)) if chosen[n] and WIDEST_FIRST[n] in SETTINGS[key].scopes]
        got = getattr(resolve_settings(values, usual), key)
        assert str(got) == (holds[-1] if holds else str(getattr(usual, key)))
        assert isinstance(got, type(getattr(usual, key)))


def test_each_setting_is_resolved_on_its_own() -> None:
    """A narrow choice of one setting leaves the wide choices of all others."""
    values = {
        Scope.SERVER: {"ratio": "3:2", "persona": "A pirate.", "unasked": "never"},
        Scope.CHANNEL: {"count": "4", "persona": "A poet."},
        Scope.THREAD: {"chat_model": "wise"},
        Scope.PERSON: {"ratio": "1:1", "no longer known": "x"},
    }
    assert resolve_settings(values, Settings(picture_model="flat")) == Settings(
        chat_model="wise", picture_model="flat", ratio="1:1", count=4, persona="A poet.", unasked=ReplyMode.NEVER
    )


def test_usual_wins_over_a_wider_choice() -> None:
    """Who chooses the usual model gets it, whatever the server chose."""
    values = {Scope.SERVER: {"chat_model": "wise"}, Scope.PERSON: {"chat_model": ""}}
    assert resolve_settings(values, Settings()).chat_model == ""


@pytest.mark.parametrize(
    ("key", "scopes"),
    [
        ("chat_model", "server category channel thread me"),
        ("picture_model", "server category channel thread me"),
        ("ratio", "server category channel thread me"),
        ("count", "server category channel thread me"),
        ("persona", "server category channel thread"),
        ("answer", "server category channel"),
        ("unasked", "server category channel thread"),
    ],
)
def test_a_setting_is_offered_only_where_it_makes_sense(key: str, scopes: str) -> None:
    """Nobody has a persona of their own, nor decides alone where a channel is answered."""
    for scope in Scope:
        offered = key in [field.key for field in list_fields(scope, {}, Settings(), MODELS)]
        assert offered == (scope in scopes.split())
        if offered:
            assert find_setting(key, scope) is SETTINGS[key]
            continue
        possible = text(listed(scopes.split()))
        with pytest.raises(Refused) as refused:
            validate_value(key, "x", scope, MODELS)
        assert str(refused.value) == f"{setting_message(key, 'title')} can be set for {possible}, not for {scope}."


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("chat_model", "gone", "Chat model must be one of usual and wise, not “gone”."),
        ("picture_model", "wise", "Image model must be one of usual, flat, and deep, not “wise”."),
        ("ratio", "5:4", f"Aspect ratio must be one of {text(listed(['usual', *ASPECT_RATIOS]))}, not “5:4”."),
        ("count", "5", "Images per request must be one of 1, 2, 3, and 4, not “5”."),
        ("count", "0", "Images per request must be one of 1, 2, 3, and 4, not “0”."),
        ("answer", "usual", "Reply in must be one of thread and in place, not “usual”."),
        ("unasked", "", "Reply without a mention must be one of threads, pictures, and never, not “”."),
        ("persona", "x" * 2_001, "Persona can have at most 2,000 characters. Yours has 2,001."),
        ("colour", "red", f"There is no setting “colour”. The settings are {text(listed(SETTINGS))}."),
    ],
)
def test_a_wrong_value_is_told_what_is_possible(key: str, value: str, sentence: str) -> None:
    """The sentence names every choice; what was typed is cut where it is too long."""
    with pytest.raises(Refused) as refused:
        validate_value(key, value, Scope.SERVER, MODELS)
    assert str(refused.value) == sentence


def test_a_long_wrong_value_is_cut() -> None:
    """A page of text is not said again."""
    with pytest.raises(Refused) as refused:
        validate_value("ratio", "x" * 500, Scope.SERVER, MODELS)
    assert len(str(refused.value)) < 150


def test_a_value_is_kept_without_white_space_around_it() -> None:
    """Of what can be chosen `usual` is no choice at all; a persona may be as long as it may."""
    assert validate_value("ratio", " 3:2 ", Scope.PERSON, MODELS) == "3:2"
    assert validate_value("ratio", "usual", Scope.PERSON, MODELS) == ""
    assert validate_value("persona", " A pirate.\n", Scope.THREAD, MODELS) == "A pirate."
    assert len(validate_value("persona", "x" * MAX_PERSONA_LENGTH, Scope.THREAD, MODELS)) == MAX_PERSONA_LENGTH


def test_only_managers_choose_for_many() -> None:
    """The server's and the channel's settings are theirs; a thread's and one's own are anybody's."""
    for scope in Scope:
        check(BOB, scope)
    check(ANN, Scope.THREAD)
    check(ANN, Scope.PERSON)
    for scope in (Scope.SERVER, Scope.CATEGORY, Scope.CHANNEL):
        with pytest.raises(Refused, match=f"Only managers can change the settings of this {scope}"):
            check(ANN, scope)


def test_a_panel_says_where_each_value_comes_from() -> None:
    """A scope shows what wider ones chose, and nothing of narrower ones."""
    values = {Scope.SERVER: {"ratio": "3:2", "count": "2"}, Scope.THREAD: {"ratio": ""}, Scope.PERSON: {"count": "4"}}
    told = {
        scope: {field.key: (field.value, field.source) for field in list_fields(scope, values, Settings(), MODELS)}
        for scope in Scope
    }
    assert told[Scope.SERVER]["ratio"] == told[Scope.CHANNEL]["ratio"] == ("3:2", "server")
    assert told[Scope.THREAD]["ratio"] == told[Scope.PERSON]["ratio"] == ("usual", "thread")
    assert told[Scope.THREAD]["count"] == ("2", "server")
    assert told[Scope.PERSON]["count"] == ("4", "me")
    assert told[Scope.PERSON]["chat_model"] == ("usual", "default")
    assert told[Scope.CHANNEL]["answer"] == ("thread", "default")
    assert told[Scope.CHANNEL]["persona"] == ("", "default")


def test_a_field_is_either_a_choice_or_a_text() -> None:
    """Whatever holds by default is among the choices."""
    for field in list_fields(Scope.SERVER, {}, Settings(), MODELS):
        assert [bool(field.choices), bool(field.max_length), bool(field.maximum)].count(True) == 1
        assert not field.choices or field.value in field.choices
    longest = {field.key: field.max_length for field in list_fields(Scope.SERVER, {}, Settings(), MODELS)}
    assert longest["persona"] == MAX_PERSONA_LENGTH


def test_choices_are_kept_for_whom_they_were_made(store: Store) -> None:
    """A server's hold in all of its channels, a person's wherever they are on the platform."""
    store.settings.set_category(THREAD, "rooms")
    for scope in Scope:
        store.settings.choose(scope_key(scope, THREAD, ANN.id, "rooms"), "ratio", scope)
    sister = ThreadKey("test", "space", "channel", "2")
    cousin = ThreadKey("test", "space", "2", "thread")
    stranger = ThreadKey("test", "2", "channel", "thread")
    abroad = ThreadKey("2", "space", "channel", "thread")

    def scopes(thread: ThreadKey, person: Person) -> list[str]:
        values = store.settings.values(thread, person.id)
        assert all(choices == {"ratio": scope} for scope, choices in values.items())
        return sorted(values)

    assert scopes(THREAD, ANN) == sorted(Scope)
    assert scopes(THREAD, CID) == ["category", "channel", "server", "thread"]
    assert scopes(sister, CID) == ["category", "channel", "server"]
    assert scopes(cousin, CID) == ["server"]
    store.settings.set_category(cousin, "rooms")
    assert scopes(cousin, CID) == ["category", "server"]
    store.settings.set_category(stranger, "rooms")
    assert scopes(stranger, CID) == []
    assert scopes(stranger, ANN) == ["me"]
    assert scopes(abroad, ANN) == []


def test_a_choice_is_replaced_and_forgotten(store: Store) -> None:
    """One of them, or all of a place; other places keep theirs."""
    mine, theirs = (scope_key(Scope.PERSON, THREAD, person.id) for person in (ANN, CID))
    for place in (mine, theirs):
        store.settings.choose(place, "ratio", "1:1")
        store.settings.choose(place, "ratio", "3:2")
        store.settings.choose(place, "count", "2")
    assert store.settings.values(THREAD, ANN.id) == {Scope.PERSON: {"ratio": "3:2", "count": "2"}}
    store.settings.reset(mine, "ratio")
    assert store.settings.values(THREAD, ANN.id) == {Scope.PERSON: {"count": "2"}}
    store.settings.reset(mine)
    assert store.settings.values(THREAD, ANN.id) == {}
    assert store.settings.values(THREAD, CID.id) == {Scope.PERSON: {"ratio": "3:2", "count": "2"}}
