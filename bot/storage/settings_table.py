"""The settings table: the values that users chose, by scope."""

from sqlite_utils import Database

from bot.domain import ThreadKey
from bot.settings.rules import WIDEST_FIRST, ScopeValues, scope_key
from bot.settings.values import Scope
from bot.storage.database import transaction


class SettingsTable:
    """The settings table. All methods that write raise StorageError if the file cannot be written."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def values(self, thread: ThreadKey, person: str) -> ScopeValues:
        """Return the chosen values that apply to this user in this thread, by scope."""
        category = self.category(thread)
        scopes = [scope for scope in WIDEST_FIRST if category or scope is not Scope.CATEGORY]
        places = {scope_key(scope, thread, person, category): scope for scope in scopes}
        found: dict[Scope, dict[str, str]] = {}
        sql = f"SELECT scope, key, value FROM settings WHERE scope IN ({', '.join('?' * len(places))})"
        for place, key, value in self._db.execute(sql, list(places)):
            found.setdefault(places[place], {})[key] = value
        return found

    def category(self, thread: ThreadKey) -> str:
        """Return the current category of the channel of the thread, as the platform reported it; empty for none."""
        row = self._db.execute("SELECT value FROM marks WHERE name = ?", [_category_mark(thread)]).fetchone()
        return str(row[0]) if row else ""

    def set_category(self, channel: ThreadKey, category: str) -> None:
        """Record the category of a channel; empty for none."""
        if self.category(channel) != category:
            with transaction(self._db):
                sql = "INSERT OR REPLACE INTO marks (name, value) VALUES (?, ?)"
                self._db.execute(sql, [_category_mark(channel), category])

    def choose(self, place: str, key: str, value: str) -> None:
        """Store a chosen value."""
        with transaction(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO settings (scope, key, value) VALUES (?, ?, ?)", [place, key, value]
            )

    def reset(self, place: str, key: str = "") -> None:
        """Delete the chosen value of one setting, or of all settings of the scope if `key` is empty."""
        with transaction(self._db):
            self._db.execute("DELETE FROM settings WHERE scope = ? AND (key = ? OR ? = '')", [place, key, key])


def _category_mark(thread: ThreadKey) -> str:
    return f"category:{scope_key(Scope.CHANNEL, thread, '')}"
