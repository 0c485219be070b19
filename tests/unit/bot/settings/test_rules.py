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
    validate_value,
)
from bot.settings.rules import check_may_change as check
from bot.settings.values import ReplyIn, ReplyMode, Scope, Settings
from bot.storage.store import Store
from tests.support.doubles import ANN, BOB, CID, THREAD

MODELS = AvailableModels(("wise",), ("flat", "deep"))
ALL = {
    "chat_model": ("wise", "quick", "slow", "witty", "dull"),
    "image_model": ("flat", "deep", "wide", "tall", "thin"),
    "aspect_ratio": ("1:1", "3:2", "2:3", "16:9", "2:1"),
    "images_per_request": ("2", "3", "4", "1", "2"),
    "persona": ("A pirate.", "A poet.", "A cat.", "A king.", "A fool."),
    "reply_in": ("channel", "thread", "channel", "thread", "channel"),
    "reply_mode": ("never", "images", "threads", "never", "images"),
}


@pytest.mark.parametrize("key", ALL)
def test_the_narrowest_choice_wins(key: str) -> None:
    """Of every set of scopes that chose, the narrowest holds; without any, the default does."""
    default = Settings(
        chat_model="c", image_model="p", aspect_ratio="9:16", images_per_request=3, persona="Nobody.",
        reply_in=ReplyIn.CHANNEL, reply_mode=ReplyMode.IMAGES,
    )  # fmt: skip
    for chosen in product((False, True), repeat=len(WIDEST_FIRST)):
        values = {s: {key: ALL[key][n]} for n, s in enumerate(WIDEST_FIRST) if chosen[n]}
        holds = [ALL[key][n] for n in range(len(WIDEST_FIRST)) if chosen[n] and WIDEST_FIRST[n] in SETTINGS[key].scopes]
        got = getattr(resolve_settings(values, default), key)
        assert str(got) == (holds[-1] if holds else str(getattr(default, key)))
        assert isinstance(got, type(getattr(default, key)))


def test_each_setting_is_resolved_on_its_own() -> None:
    """A narrow choice of one setting leaves the wide choices of all others."""
    values = {
        Scope.SERVER: {"aspect_ratio": "3:2", "persona": "A pirate.", "reply_mode": "never"},
        Scope.CHANNEL: {"images_per_request": "4", "persona": "A poet."},
        Scope.THREAD: {"chat_model": "wise"},
        Scope.PERSON: {"aspect_ratio": "1:1", "no longer known": "x"},
    }
    assert resolve_settings(values, Settings(image_model="flat")) == Settings(
        chat_model="wise",
        image_model="flat",
        aspect_ratio="1:1",
        images_per_request=4,
        persona="A poet.",
        reply_mode=ReplyMode.NEVER,
    )


def test_the_default_wins_over_a_wider_choice() -> None:
    """A user who chooses the default model gets it, whatever the server chose."""
    values = {Scope.SERVER: {"chat_model": "wise"}, Scope.PERSON: {"chat_model": ""}}
    assert resolve_settings(values, Settings()).chat_model == ""


@pytest.mark.parametrize(
    ("key", "scopes"),
    [
        ("chat_model", "server category channel thread me"),
        ("image_model", "server category channel thread me"),
        ("aspect_ratio", "server category channel thread me"),
        ("images_per_request", "server category channel thread me"),
        ("persona", "server category channel thread"),
        ("reply_in", "server category channel"),
        ("reply_mode", "server category channel thread"),
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
        assert str(refused.value) == f"{SETTINGS[key].title} can be set for {possible}, not for {scope}."


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("chat_model", "gone", "Chat model must be one of default and wise, not “gone”."),
        ("image_model", "wise", "Image model must be one of default, flat, and deep, not “wise”."),
        ("aspect_ratio", "5:4", f"Aspect ratio must be one of {text(listed(['default', *ASPECT_RATIOS]))}, not “5:4”."),
        ("images_per_request", "5", "Images per request must be one of 1, 2, 3, and 4, not “5”."),
        ("images_per_request", "0", "Images per request must be one of 1, 2, 3, and 4, not “0”."),
        ("reply_in", "default", "Reply in must be one of thread and channel, not “default”."),
        ("reply_mode", "", "Reply without a mention must be one of threads, images, and never, not “”."),
        ("persona", "x" * 2_001, "Persona can have at most 2,000 characters. Yours has 2,001."),
        ("colour", "red", f"There is no setting “colour”. The settings are {text(listed(SETTINGS))}."),
    ],
)
def test_the_answer_to_a_wrong_value_lists_what_is_possible(key: str, value: str, sentence: str) -> None:
    """The sentence names every choice; what was typed is cut where it is too long."""
    with pytest.raises(Refused) as refused:
        validate_value(key, value, Scope.SERVER, MODELS)
    assert str(refused.value) == sentence


def test_a_long_wrong_value_is_cut() -> None:
    """A page of text is not said again."""
    with pytest.raises(Refused) as refused:
        validate_value("aspect_ratio", "x" * 500, Scope.SERVER, MODELS)
    assert len(str(refused.value)) < 150


def test_a_value_is_kept_without_white_space_around_it() -> None:
    """The default is stored as an empty value; a persona may be as long as it may."""
    assert validate_value("aspect_ratio", " 3:2 ", Scope.PERSON, MODELS) == "3:2"
    assert validate_value("aspect_ratio", "default", Scope.PERSON, MODELS) == ""
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
    values = {
        Scope.SERVER: {"aspect_ratio": "3:2", "images_per_request": "2"},
        Scope.THREAD: {"aspect_ratio": ""},
        Scope.PERSON: {"images_per_request": "4"},
    }
    output = {
        scope: {field.key: (field.value, field.source) for field in list_fields(scope, values, Settings(), MODELS)}
        for scope in Scope
    }
    assert output[Scope.SERVER]["aspect_ratio"] == output[Scope.CHANNEL]["aspect_ratio"] == ("3:2", "server")
    assert output[Scope.THREAD]["aspect_ratio"] == output[Scope.PERSON]["aspect_ratio"] == ("default", "thread")
    assert output[Scope.THREAD]["images_per_request"] == ("2", "server")
    assert output[Scope.PERSON]["images_per_request"] == ("4", "me")
    assert output[Scope.PERSON]["chat_model"] == ("default", "default")
    assert output[Scope.CHANNEL]["reply_in"] == ("thread", "default")
    assert output[Scope.CHANNEL]["persona"] == ("", "default")


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
        store.settings.choose(scope_key(scope, THREAD, ANN.id, "rooms"), "aspect_ratio", scope)
    sister = ThreadKey("test", "space", "channel", "2")
    cousin = ThreadKey("test", "space", "2", "thread")
    stranger = ThreadKey("test", "2", "channel", "thread")
    abroad = ThreadKey("2", "space", "channel", "thread")

    def scopes(thread: ThreadKey, person: Person) -> list[str]:
        values = store.settings.values(thread, person.id)
        assert all(choices == {"aspect_ratio": scope} for scope, choices in values.items())
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
        store.settings.choose(place, "aspect_ratio", "1:1")
        store.settings.choose(place, "aspect_ratio", "3:2")
        store.settings.choose(place, "images_per_request", "2")
    assert store.settings.values(THREAD, ANN.id) == {Scope.PERSON: {"aspect_ratio": "3:2", "images_per_request": "2"}}
    store.settings.reset(mine, "aspect_ratio")
    assert store.settings.values(THREAD, ANN.id) == {Scope.PERSON: {"images_per_request": "2"}}
    store.settings.reset(mine)
    assert store.settings.values(THREAD, ANN.id) == {}
    assert store.settings.values(THREAD, CID.id) == {Scope.PERSON: {"aspect_ratio": "3:2", "images_per_request": "2"}}
