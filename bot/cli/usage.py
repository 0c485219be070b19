"""`python -m bot usage` and `python -m bot export`: usage figures as CSV, and threads as ZIP, for the operator."""

import csv
import sys
import time
from argparse import Namespace
from contextlib import closing
from pathlib import Path

from bot.commands.thread_export import write_export
from bot.domain import ThreadKey
from bot.errors import NotFound, Refused
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from bot.storage.usage import DAY

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # OWASP, CSV Injection


def run(options: Namespace, database: Path, pictures: Path) -> None:
    """Run the command. Raises BotError with a sentence if it fails."""
    with closing(Store.open_existing(database)) as store:
        if options.command == "usage":
            _usage(store, options.days)
        elif options.thread is None:
            for summary in store.all_threads():
                print(summary.key, summary.title or "Pictures", sep="\t")  # noqa: T201
        else:
            _export(store, options.thread, PictureFiles(pictures), options.out)


def _usage(store: Store, days: int) -> None:
    table = csv.writer(sys.stdout)
    table.writerow(("server", "person", "name", "pictures", "megapixel_steps", "tokens_sent", "tokens_written"))
    for row in store.usage(time.time() - days * DAY):
        table.writerow([_escape_formula(cell) if isinstance(cell, str) else cell for cell in row])


def _escape_formula(cell: str) -> str:
    """Escape the text so that no spreadsheet reads it as a formula: users choose their names freely."""
    return f"'{cell}" if cell.startswith(_BEGINS_A_FORMULA) else cell


def _export(store: Store, key: str, files: PictureFiles, out: Path) -> None:
    try:
        thread = ThreadKey.parse(key)
    except ValueError:
        raise NotFound(f"There is no thread {key!r}.") from None
    entries = store.entries(thread)
    if not entries:
        raise NotFound(f"There is no thread {key!r}.")
    try:
        with out.open("wb") as file:
            write_export(file, store.title(thread), entries, store.pictures(thread), files.read)
    except OSError as error:
        raise Refused(f"{out} cannot be written: {error.strerror}.") from error
    print(f"{out} holds {len(entries):,} messages: unpack it, and open index.html.")  # noqa: T201
