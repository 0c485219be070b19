"""What a platform must find again after a restart: where a reply is shown, and which message of it shows what."""

from sqlite_utils import Database

from bot.chosen import Chosen
from bot.database import writing
from bot.domain import Post, ThreadKey


class Posts:
    """The table of what was posted. Whatever writes raises Unrecorded when the file cannot be written."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def place(self, message_id: str) -> str:
        """Where the reply to this message is shown, in the platform's own words; empty if that was never said."""
        row = self._db.execute("SELECT place FROM places WHERE message = ?", [message_id]).fetchone()
        return str(row[0]) if row else ""

    def open(self, message_id: str, place: str) -> None:
        """Remember where the reply is to be shown."""
        with writing(self._db):
            self._db.execute("INSERT OR IGNORE INTO places (message, place) VALUES (?, ?)", [message_id, place])

    def of(self, message_id: str) -> list[Post]:
        """The messages of a reply, in order."""
        rows = self._db.execute("SELECT id, picture FROM posts WHERE message = ? ORDER BY nth", [message_id])
        return [Post(post, picture) for post, picture in rows]

    def keep(self, message_id: str, nth: int, post: Post, thread: ThreadKey) -> None:
        """Remember the nth message of a reply."""
        with writing(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO posts (message, nth, id, picture, thread) VALUES (?, ?, ?, ?, ?)",
                [message_id, nth, post.id, post.picture, str(thread)],
            )

    def drop(self, message_id: str, nth: int) -> None:
        """Forget the nth message of a reply, which is there no more."""
        with writing(self._db):
            self._db.execute("DELETE FROM posts WHERE message = ? AND nth = ?", [message_id, nth])

    def shows(self, post_id: str) -> tuple[ThreadKey, int | None] | None:
        """The thread of a posted message, and the number of the picture that it shows; None if it is not ours."""
        row = self._db.execute("SELECT thread, picture FROM posts WHERE id = ?", [post_id]).fetchone()
        return (ThreadKey.parse(row[0]), row[1]) if row else None

    def newest(self, prefix: str) -> ThreadKey | None:
        """The conversation of the newest message whose id begins so."""
        sql = "SELECT thread FROM posts WHERE id >= ? AND id < ? ORDER BY length(id) DESC, id DESC LIMIT 1"
        row = self._db.execute(sql, [prefix, prefix + "\U0010ffff"]).fetchone()
        return ThreadKey.parse(row[0]) if row else None

    def showing(self, thread: ThreadKey) -> dict[int, str]:
        """The message that shows each picture of a thread, by number."""
        sql = "SELECT picture, id FROM posts WHERE thread = ? AND picture IS NOT NULL ORDER BY id"
        return dict(self._db.execute(sql, [str(thread)]))

    def lies(self, channel: ThreadKey, category: str) -> None:
        """A channel lies in this category now; empty for none."""
        Chosen(self._db).lies(channel, category)

    def mark(self, name: str) -> str:
        """A note of the platform's own, or nothing."""
        row = self._db.execute("SELECT value FROM marks WHERE name = ?", [name]).fetchone()
        return str(row[0]) if row else ""

    def note(self, name: str, value: str) -> None:
        """Keep a note of the platform's own."""
        with writing(self._db):
            self._db.execute("INSERT OR REPLACE INTO marks (name, value) VALUES (?, ?)", [name, value])
