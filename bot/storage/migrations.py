"""The database schema as a list of migrations; each migration runs once on a database, in a transaction.

The name of a migration function is recorded in the database: a function is not renamed and not changed. A migration
does not use the values of the program, which change later.
"""

import json
from collections.abc import Callable
from typing import Any

from sqlite_utils import Database, Migrations

from bot.settings.old_names import OLD_KEYS, OLD_VALUES

migrations = Migrations("minidalle")


@migrations()
def conversations(db: Database) -> None:
    """Create the tables of threads, messages with replies, pictures and jobs."""
    db.executescript("""
        CREATE TABLE threads (
            key TEXT PRIMARY KEY, platform TEXT NOT NULL, title TEXT NOT NULL, updated REAL NOT NULL,
            pictures INTEGER NOT NULL DEFAULT 0  -- the highest number given to a picture
        );
        CREATE TABLE messages (
            seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, thread TEXT NOT NULL REFERENCES threads(key),
            author_id TEXT NOT NULL, author_name TEXT NOT NULL, text TEXT NOT NULL, about INTEGER,
            uploads TEXT NOT NULL,  -- numbers, as JSON
            words TEXT NOT NULL DEFAULT '',  -- what the model wrote
            heard INTEGER NOT NULL DEFAULT 0,  -- 1 when the model had finished
            view TEXT  -- the final view, as JSON; NULL while the reply is open
        );
        CREATE INDEX messages_of_thread ON messages(thread, seq);
        CREATE INDEX open_messages ON messages(seq) WHERE view IS NULL;
        CREATE TABLE pictures (
            thread TEXT NOT NULL REFERENCES threads(key), number INTEGER NOT NULL, picture TEXT NOT NULL,
            digest TEXT NOT NULL, PRIMARY KEY (thread, number)
        );
        CREATE INDEX pictures_by_digest ON pictures(digest);
        CREATE TABLE jobs (
            id TEXT PRIMARY KEY, message TEXT NOT NULL, thread TEXT NOT NULL REFERENCES threads(key),
            number INTEGER NOT NULL, owner TEXT NOT NULL, operation TEXT NOT NULL, prompt TEXT NOT NULL,
            parent INTEGER, seed INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'queued',
            attempt INTEGER NOT NULL DEFAULT 0, faults INTEGER NOT NULL DEFAULT 0, reason TEXT
        );
        CREATE INDEX jobs_of_message ON jobs(message);
    """)


@migrations()
def wishes(db: Database) -> None:
    """Add change, aspect ratio and refined prompt to the jobs."""
    db.executescript("""
        ALTER TABLE jobs ADD COLUMN change TEXT NOT NULL DEFAULT '';
        ALTER TABLE jobs ADD COLUMN ratio TEXT NOT NULL DEFAULT '';
        ALTER TABLE jobs ADD COLUMN refined TEXT NOT NULL DEFAULT '';
    """)


@migrations()
def line(db: Database) -> None:
    """Add to the jobs when they were ordered, claimed and ended (seconds since 1970), their cost and their batch.

    A commit flushes every page that it touches. So the jobs table is one tree without an index that a new job would
    have to write to: the jobs of a message are a range of the primary key.
    """
    db.executescript("""
        ALTER TABLE jobs RENAME TO old_jobs;
        DROP INDEX jobs_of_message;
        CREATE TABLE jobs (
            id TEXT PRIMARY KEY,  -- the message's id, a dot, the picture's place in the reply
            message TEXT NOT NULL, thread TEXT NOT NULL REFERENCES threads(key), number INTEGER NOT NULL,
            owner TEXT NOT NULL, operation TEXT NOT NULL, prompt TEXT NOT NULL, parent INTEGER, seed INTEGER NOT NULL,
            change TEXT NOT NULL DEFAULT '', ratio TEXT NOT NULL DEFAULT '', refined TEXT NOT NULL DEFAULT '',
            state TEXT NOT NULL DEFAULT 'queued', reason TEXT,
            attempt INTEGER NOT NULL DEFAULT 0, faults INTEGER NOT NULL DEFAULT 0,
            ordered REAL NOT NULL DEFAULT 0, claimed REAL, ended REAL,
            cost REAL NOT NULL DEFAULT 0,  -- in megapixel-steps
            batch TEXT, model TEXT NOT NULL DEFAULT ''
        ) WITHOUT ROWID;
        INSERT INTO jobs (id, message, thread, number, owner, operation, prompt, parent, seed, change, ratio, refined,
                          state, reason, attempt, faults)
            SELECT id, message, thread, number, owner, operation, prompt, parent, seed, change, ratio, refined,
                   CASE WHEN state = 'rendered' AND message IN (SELECT id FROM messages WHERE view IS NOT NULL)
                        THEN 'posted' ELSE state END, reason, attempt, faults FROM old_jobs;
        DROP TABLE old_jobs;
        CREATE INDEX served_jobs ON jobs(claimed) WHERE claimed IS NOT NULL;
    """)


@migrations()
def platforms(db: Database) -> None:
    """Add settings, image requests without the chat model, token counts, and the places and posts of replies."""
    db.executescript("""
        ALTER TABLE messages ADD COLUMN settled TEXT NOT NULL DEFAULT '';  -- the requests of the reply, as JSON
        ALTER TABLE messages ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;  -- 1 when it was edited since its answer
        ALTER TABLE jobs ADD COLUMN wanted TEXT NOT NULL DEFAULT '';  -- the model that must draw it
        ALTER TABLE jobs ADD COLUMN negative TEXT NOT NULL DEFAULT '';
        ALTER TABLE messages ADD COLUMN before TEXT NOT NULL DEFAULT '';  -- what was said in the thread before
        ALTER TABLE messages ADD COLUMN told INTEGER NOT NULL DEFAULT 0;  -- tokens that the chat model was sent, about
        ALTER TABLE messages ADD COLUMN said INTEGER NOT NULL DEFAULT 0;  -- tokens that it wrote, about
        ALTER TABLE messages ADD COLUMN sent REAL NOT NULL DEFAULT 0;  -- when it was accepted, seconds since 1970
        CREATE INDEX ordered_jobs ON jobs(ordered);
        ALTER TABLE pictures ADD COLUMN owner TEXT NOT NULL DEFAULT '';  -- who asked for it, or sent it
        CREATE TABLE settings (
            scope TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (scope, key)
        ) WITHOUT ROWID;
        CREATE TABLE places (message TEXT PRIMARY KEY, place TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE posts (
            message TEXT NOT NULL, nth INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, picture INTEGER,
            thread TEXT NOT NULL, PRIMARY KEY (message, nth)
        ) WITHOUT ROWID;
        CREATE INDEX posts_of_thread ON posts(thread, picture) WHERE picture IS NOT NULL;
        CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    """)


@migrations()
def parts(db: Database) -> None:
    """Add the marked region of a picture to messages and jobs."""
    db.executescript("""
        ALTER TABLE messages ADD COLUMN part TEXT NOT NULL DEFAULT '';
        ALTER TABLE jobs ADD COLUMN part TEXT NOT NULL DEFAULT '';
    """)


@migrations()
def plain_setting_keys(db: Database) -> None:
    """Rename the settings and values that had other names; a value under the new name wins."""
    for old, new in OLD_KEYS.items():
        db.execute("UPDATE OR IGNORE settings SET key = ? WHERE key = ?", [new, old])
        db.execute("DELETE FROM settings WHERE key = ?", [old])
    for key in ("reply_in", "reply_mode"):  # the old name of a default was never stored
        for old, new in OLD_VALUES[key].items():
            db.execute("UPDATE settings SET value = ? WHERE key = ? AND value = ?", [new, key, old])


@migrations()
def image_requests(db: Database) -> None:
    """Store the image request of a job, of a picture and in a view as one JSON object."""
    for sql in (
        """CREATE TABLE new_jobs (
            id TEXT PRIMARY KEY,  -- the message's id, a dot, the key of the request
            message TEXT NOT NULL, thread TEXT NOT NULL REFERENCES threads(key), number INTEGER NOT NULL,
            owner TEXT NOT NULL, request TEXT NOT NULL,  -- the image request, as JSON
            refined TEXT NOT NULL DEFAULT '',  -- the refined prompt
            state TEXT NOT NULL DEFAULT 'queued', reason TEXT,
            attempt INTEGER NOT NULL DEFAULT 0, faults INTEGER NOT NULL DEFAULT 0,
            ordered REAL NOT NULL DEFAULT 0, claimed REAL, ended REAL,
            cost REAL NOT NULL DEFAULT 0,  -- in megapixel-steps
            batch TEXT, model TEXT NOT NULL DEFAULT ''  -- the image model that rendered it
        ) WITHOUT ROWID""",
        """INSERT INTO new_jobs
            SELECT id, message, thread, number, owner,
                   CASE state WHEN 'forgotten' THEN '' ELSE json_object(
                       'key', CAST(substr(id, length(message) + 2) AS INTEGER), 'operation', operation,
                       'prompt', prompt, 'source', parent, 'change', change, 'region', part,
                       'sampling', json_object(
                           'seed', seed, 'aspect_ratio', ratio, 'negative_prompt', negative, 'model', wanted)) END,
                   refined, state, reason, attempt, faults, ordered, claimed, ended, cost, batch, model FROM jobs""",
        "DROP TABLE jobs",
        "ALTER TABLE new_jobs RENAME TO jobs",
        "CREATE INDEX served_jobs ON jobs(claimed) WHERE claimed IS NOT NULL",
        "CREATE INDEX ordered_jobs ON jobs(ordered)",
    ):
        db.execute(sql)
    _convert_json(db, "pictures", "picture", _convert_picture)
    _convert_json(db, "messages", "settled", lambda requests: [_convert_request(each) for each in requests])
    _convert_json(db, "messages", "view", _convert_view)


@migrations()
def locales(db: Database) -> None:
    """Add the locale of the author to the messages."""
    db.execute("ALTER TABLE messages ADD COLUMN author_locale TEXT NOT NULL DEFAULT ''")


def _convert_json(db: Database, table: str, column: str, convert: Callable[[Any], Any]) -> None:
    """Replace each JSON value of the column by its conversion; an empty column stays."""
    rows = db.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} != ''").fetchall()
    for rowid, text in rows:
        converted = json.dumps(convert(json.loads(text)), ensure_ascii=False, separators=(",", ":"))
        db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", [converted, rowid])


def _convert_request(old: dict[str, Any]) -> dict[str, Any]:
    names = {"seed": "seed", "ratio": "aspect_ratio", "negative": "negative_prompt", "model": "model"}
    renamed = {"of": "source", "parent": "source", "part": "region"}
    kept = {renamed.get(name, name): value for name, value in old.items() if name not in names}
    return kept | {"sampling": {names[name]: value for name, value in old.items() if name in names}}


def _convert_picture(old: dict[str, Any]) -> dict[str, Any]:
    """The request gets the options that the old record had; the model of the picture may not be the requested one."""
    of_request = ("operation", "prompt", "parent", "seed")
    renamed = {"refined": "refined_prompt", "way": "edit_method"}
    picture = {renamed.get(name, name): value for name, value in old.items() if name not in of_request}
    return picture | {"request": {"key": 0} | _convert_request({name: old.get(name) for name in of_request})}


def _convert_view(view: dict[str, Any]) -> dict[str, Any]:
    return view | {"parts": [_convert_part(part) for part in view["parts"]]}


def _convert_part(old: dict[str, Any]) -> dict[str, Any]:
    part = {"source" if name == "parent" else name: value for name, value in old.items()}
    if picture := old.get("state", {}).get("picture"):
        part["state"] = old["state"] | {"picture": _convert_picture(picture)}
    return part
