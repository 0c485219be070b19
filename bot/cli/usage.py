"""`python -m bot usage` and `python -m bot export`: what is on record, for those who run the bot."""

import csv
import sys
import time
from argparse import ArgumentParser, Namespace, _SubParsersAction
from contextlib import closing
from pathlib import Path

from bot.commands.thread_export import export
from bot.conversation.permissions import DAY
from bot.domain import ThreadKey
from bot.errors import NotFound, Refused
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store

COMMANDS = ("usage", "export")
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # OWASP, CSV Injection


def add_arguments(commands: "_SubParsersAction[ArgumentParser]") -> None:
    """Let the command line know these commands."""
    usage = commands.add_parser("usage", help="print who had how much drawn and said, as CSV")
    usage.add_argument("--days", type=int, default=30, help="of the last so many days (default: 30)")
    taken = commands.add_parser("export", help="write a thread with its pictures into a ZIP, or list the threads")
    taken.add_argument("thread", nargs="?", help="a thread's key as the list shows it; without it, the list is printed")
    taken.add_argument("--out", type=Path, default=Path("thread.zip"), help="the file to write (default: thread.zip)")


def run(options: Namespace, database: Path, pictures: Path) -> None:
    """Do what was asked. Raises BotError with a sentence if that cannot be done."""
    with closing(Store.existing(database)) as store:
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
        table.writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in row])


def _harmless(cell: str) -> str:
    """The text so that no spreadsheet takes it for a formula: people call themselves what they like."""
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
            export(file, store.title(thread), entries, store.pictures(thread), files.read)
    except OSError as error:
        raise Refused(f"{out} cannot be written: {error.strerror}.") from error
    print(f"{out} holds {len(entries):,} messages: unpack it, and open index.html.")  # noqa: T201
