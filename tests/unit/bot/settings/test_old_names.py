"""Names that settings had in earlier versions are accepted wherever they are typed or stored, and shown nowhere."""

from contextlib import closing
from pathlib import Path

import pytest

from bot.domain import MANAGER, Person
from bot.errors import Refused
from bot.settings.old_names import OLD_KEYS, OLD_VALUES
from bot.settings.rules import SETTINGS, AvailableModels, find_setting, validate_value
from bot.settings.values import ReplyIn, ReplyMode, Scope, Settings
from bot.storage.database import open_database
from bot.storage.store import Store
from tests.support.doubles import ANN, BOB, THREAD
from tests.support.records import choose, command, commands_of

VALUES = {
    "answer": "in place", "at_once": "2", "changers": "everyone", "count": "3", "daily": "5", "describe": "on",
    "picture_model": "usual", "ratio": "3:2", "refine": "off", "rule": "gore", "server_daily": "9",
    "unasked": "pictures",
}  # fmt: skip
OLD_ROWS = [
    ("test/space", "rule", "gore"),
    ("test/space", "daily", "5"),
    ("test/space", "unasked", "pictures"),
    ("test/space", "answer", "in place"),
    ("test/space", "persona", "pictures"),
    ("test:ann", "ratio", "3:2"),
    ("test:ann", "aspect_ratio", "16:9"),
    ("test:ann", "picture_model", ""),
    ("test:ann", "count", "3"),
]


@pytest.mark.parametrize("old", OLD_KEYS)
def test_an_old_key_sets_and_resets_the_setting(store: Store, old: str) -> None:
    """The value is stored under the present key, in the present words."""
    key, slash_commands = OLD_KEYS[old], commands_of(store)
    value = OLD_VALUES.get(key, {}).get(VALUES[old], VALUES[old])
    choose(slash_commands, "server", old, VALUES[old], BOB)
    stored = {key: "" if value == "default" else value}
    assert store.settings.values(THREAD, BOB.id) == {Scope.SERVER: stored}
    slash_commands.answer(command("settings", BOB, do="reset", scope="server", key=old))
    assert store.settings.values(THREAD, BOB.id) == {}


def test_old_names_are_shown_nowhere(store: Store) -> None:
    """Neither as a setting, nor as a choice, nor in the list that a wrong key is answered with."""
    choices = {choice for key in SETTINGS.values() if key.choices for choice in key.choices(AvailableModels())}
    assert not {*SETTINGS} & {*OLD_KEYS} and not choices & {"usual", "in place", "pictures"}
    with pytest.raises(Refused) as refused:
        find_setting("nonsense", Scope.SERVER)
    assert not {*str(refused.value).replace(",", "").split()} & {*OLD_KEYS}


@pytest.mark.parametrize(("key", "values"), OLD_VALUES.items())
def test_an_old_value_is_accepted_under_the_present_key(key: str, values: dict[str, str]) -> None:
    """`usual` is stored as the default is."""
    for old, new in values.items():
        expected = "" if new == "default" else new
        assert validate_value(key, old, Scope.SERVER, AvailableModels()) == expected


def test_a_model_with_the_name_of_an_old_value_can_be_chosen() -> None:
    """A server may call its model `usual` or `default`."""
    models = AvailableModels(image=("usual", "default"))
    assert validate_value("image_model", "usual", Scope.PERSON, models) == "usual"
    assert SETTINGS["image_model"].choices and SETTINGS["image_model"].choices(models) == ("default", "usual")


@pytest.mark.parametrize("old", ["rule", "daily", "at_once"])
def test_an_old_key_gives_nobody_more_rights(store: Store, old: str) -> None:
    """Where everyone may edit a channel's settings, limits and blocked words stay with managers by any name."""
    slash_commands = commands_of(store)
    choose(slash_commands, "server", "who_can_edit_settings", "everyone", BOB)
    choose(slash_commands, "channel", "images_per_request", "2", ANN)
    with pytest.raises(Refused, match="Only managers"):
        choose(slash_commands, "channel", old, "1", ANN)


def test_stored_rows_get_their_present_names(tmp_path: Path) -> None:
    """A database of the previous version: its choices hold; under both names, the present one wins."""
    path = tmp_path / "bot.sqlite"
    with closing(open_database(path)) as db:
        db.conn.executemany("INSERT INTO settings (scope, key, value) VALUES (?, ?, ?)", OLD_ROWS)
        db.conn.execute("DELETE FROM _sqlite_migrations WHERE name = 'plain_setting_keys'")
        db.conn.commit()
    with closing(Store(path)) as store:
        assert store.settings.values(THREAD, "ann") == {
            Scope.SERVER: {
                "blocked_words": "gore", "daily_limit": "5", "reply_mode": "images", "reply_in": "channel",
                "persona": "pictures",
            },
            Scope.PERSON: {"aspect_ratio": "16:9", "image_model": "", "images_per_request": "3"},
        }  # fmt: skip
        assert commands_of(store).resolve_settings(THREAD, Person("ann", "Ann", frozenset({MANAGER}))) == Settings(
            blocked_words="gore", daily_limit=5, reply_mode=ReplyMode.IMAGES, reply_in=ReplyIn.CHANNEL,
            persona="pictures", aspect_ratio="16:9", images_per_request=3,
        )  # fmt: skip
