"""The posts table: the places of replies, the messages that the bot posted, and notes of platforms."""

from sqlite_utils import Database

from bot.domain import Post, ThreadKey
from bot.storage.database import transaction
from bot.storage.settings_table import SettingsTable


class Posts:
    """The posts of the bot. All methods that write raise StorageError if the file cannot be written."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def reply_place(self, message_id: str) -> str:
        """Return the place of the reply to this message, in the format of the platform; empty if unknown."""
        row = self._db.execute("SELECT place FROM places WHERE message = ?", [message_id]).fetchone()
        return str(row[0]) if row else ""

    def save_place(self, message_id: str, place: str) -> None:
        """Record the place of the reply to this message; an earlier record stays."""
        with transaction(self._db):
            self._db.execute("INSERT OR IGNORE INTO places (message, place) VALUES (?, ?)", [message_id, place])

    def posts_of(self, message_id: str) -> list[Post]:
        """Return the posts of the reply to this message, in order."""
        rows = self._db.execute("SELECT id, picture FROM posts WHERE message = ? ORDER BY nth", [message_id])
        return [Post(post, picture) for post, picture in rows]

    def save_post(self, message_id: str, nth: int, post: Post, thread: ThreadKey) -> None:
        """Record the nth post of a reply."""
        with transaction(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO posts (message, nth, id, picture, thread) VALUES (?, ?, ?, ?, ?)",
                [message_id, nth, post.id, post.picture, str(thread)],
            )

    def delete_post(self, message_id: str, nth: int) -> None:
        """Delete the record of the nth post of a reply."""
        with transaction(self._db):
            self._db.execute("DELETE FROM posts WHERE message = ? AND nth = ?", [message_id, nth])

    def find_post(self, post_id: str) -> tuple[ThreadKey, int | None] | None:
        """Return the thread of a post and the number of the picture in it; None if the bot did not post it."""
        row = self._db.execute("SELECT thread, picture FROM posts WHERE id = ?", [post_id]).fetchone()
        return (ThreadKey.parse(row[0]), row[1]) if row else None

    def newest_thread(self, prefix: str) -> ThreadKey | None:
        """Return the thread of the newest post whose id starts with the prefix."""
        sql = "SELECT thread FROM posts WHERE id >= ? AND id < ? ORDER BY length(id) DESC, id DESC LIMIT 1"
        row = self._db.execute(sql, [prefix, prefix + "\U0010ffff"]).fetchone()
        return ThreadKey.parse(row[0]) if row else None

    def posts_by_picture(self, thread: ThreadKey) -> dict[int, str]:
        """Return the ids of the posts that show the pictures of a thread, by picture number."""
        sql = "SELECT picture, id FROM posts WHERE thread = ? AND picture IS NOT NULL ORDER BY id"
        return dict(self._db.execute(sql, [str(thread)]))

    def set_category(self, channel: ThreadKey, category: str) -> None:
        """Record the category of a channel; empty for none."""
        SettingsTable(self._db).set_category(channel, category)

    def get_mark(self, name: str) -> str:
        """Return a note that the platform stored under this name; empty if there is none."""
        row = self._db.execute("SELECT value FROM marks WHERE name = ?", [name]).fetchone()
        return str(row[0]) if row else ""

    def set_mark(self, name: str, value: str) -> None:
        """Store a note of the platform under this name."""
        with transaction(self._db):
            self._db.execute("INSERT OR REPLACE INTO marks (name, value) VALUES (?, ?)", [name, value])
