"""What was chosen in each scope, as rows."""

from sqlite_utils import Database

from bot.database import writing
from bot.domain import ThreadKey
from bot.panel import Scope
from bot.settings import WIDEST_FIRST, Values, address


class Chosen:
    """The table of choices. Whatever writes raises Unrecorded when the file cannot be written."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def values(self, thread: ThreadKey, person: str) -> Values:
        """The choices that bear on this person in this thread, by scope."""
        category = self.category(thread)
        scopes = [scope for scope in WIDEST_FIRST if category or scope is not Scope.CATEGORY]
        places = {address(scope, thread, person, category): scope for scope in scopes}
        found: dict[Scope, dict[str, str]] = {}
        sql = f"SELECT scope, key, value FROM settings WHERE scope IN ({', '.join('?' * len(places))})"
        for place, key, value in self._db.execute(sql, list(places)):
            found.setdefault(places[place], {})[key] = value
        return found

    def category(self, thread: ThreadKey) -> str:
        """The category in which the thread's channel lies now, as its platform has told; empty for none."""
        row = self._db.execute("SELECT value FROM marks WHERE name = ?", [_lies(thread)]).fetchone()
        return str(row[0]) if row else ""

    def lies(self, channel: ThreadKey, category: str) -> None:
        """The channel lies in this category from now on."""
        if self.category(channel) != category:
            with writing(self._db):
                sql = "INSERT OR REPLACE INTO marks (name, value) VALUES (?, ?)"
                self._db.execute(sql, [_lies(channel), category])

    def choose(self, place: str, key: str, value: str) -> None:
        """Keep a choice."""
        with writing(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO settings (scope, key, value) VALUES (?, ?, ?)", [place, key, value]
            )

    def reset(self, place: str, key: str = "") -> None:
        """Forget a choice, or all that were made there."""
        with writing(self._db):
            self._db.execute("DELETE FROM settings WHERE scope = ? AND (key = ? OR ? = '')", [place, key, key])


def _lies(thread: ThreadKey) -> str:
    return f"category:{address(Scope.CHANNEL, thread, '')}"
