"""`python -m bot`: parses the command line, and imports a module only if the command needs it."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 1 if the doctor found an error, 2 after a BotError on stderr."""
    options = create_parser().parse_args(arguments)
    from bot.errors import BotError

    try:
        return run_command(options)
    except BotError as error:
        print(error, file=sys.stderr)
        return 2


def run_command(options: Namespace) -> int:
    """Run the command that was parsed and return the exit status. Raises BotError."""
    if options.command == "replay":
        from bot.cli.replay import replay_file

        for line in replay_file(options.file):
            print(line)
        return 0

    from bot.config import load_config

    if options.command == "doctor":
        from bot.doctor import doctor
        from render.protocol import VERSION

        return doctor.run(load_config, VERSION)

    config = load_config()
    match options.command:
        case "usage" | "export":
            from bot.cli import usage

            usage.run(options, config.database, config.pictures_dir)
        case "queue":
            from bot.cli import queue
            from render.forecast import forecast

            queue.run(options, config.database, forecast)
        case "models":
            from render.models import list_models

            list_models.run(options, config.image_model)
        case "evaluate":
            from bot import app

            app.run_evaluation(config, options.suite, options.questions, options.limit, options.out)
        case command:
            from bot import app

            app.run(config, options.name if command == "chat" else None)
    return 0


def create_parser() -> ArgumentParser:
    """Return the parser of all commands; it sets `command`, which is None without one."""
    parser = ArgumentParser(prog="python -m bot", description="A chat bot for teams that creates images.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="start the web page and every platform that has a token (the default)")
    chat = commands.add_parser("chat", help="talk to the bot in this terminal")
    chat.add_argument("--name", default="You", help="your name in the conversation")
    _add_replay(commands.add_parser("replay", help="print the text and image requests in recorded answers of a model"))
    _add_evaluate(commands.add_parser("evaluate", help="score whether the chat model requests images when it should"))
    summary = "show the images that wait, cancel some, or render failed ones again"
    _add_queue(commands.add_parser("queue", help=summary, description=f"{summary[0].upper()}{summary[1:]}."))
    usage = commands.add_parser("usage", help="print how many images and tokens each user used, as CSV")
    usage.add_argument("--days", type=int, default=30, help="count the last DAYS days (default: 30)")
    _add_export(commands.add_parser("export", help="write a thread with its images into a ZIP, or list the threads"))
    summary = "list image models, what each can do, and whether it fits this machine"
    models = commands.add_parser("models", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    models.add_argument("--json", action="store_true", help="print one JSON object, for scripts")
    commands.add_parser("doctor", help="check configuration, servers and permissions, with remedies")
    return parser


def _add_replay(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a JSON Lines file, see docs/chat-models.md")


def _add_evaluate(parser: ArgumentParser) -> None:
    parser.add_argument("--suite", required=True, help="`decisions`, `interleaving`, `abilities`, or a file")
    parser.add_argument("--limit", type=int, help="run only the first LIMIT dialogues or questions")
    parser.add_argument(
        "--questions",
        type=Path,
        action="append",
        default=[],
        help="a file to use instead of the shipped ones; can be given several times",
    )
    parser.add_argument("--out", type=Path, help="JSON file for the report (default: a file in DATA_DIR)")


def _add_queue(parser: ArgumentParser) -> None:
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--watch", action="store_true", help="refresh the table every second, until Ctrl-C")
    shown.add_argument("--json", action="store_true", help="print one JSON object, for scripts")
    parser.add_argument("--dead", action="store_true", help="show the jobs that failed for good, and why")
    parser.add_argument("--prompts", action="store_true", help="show the prompts, too")
    actions = parser.add_subparsers(dest="action", metavar="cancel | requeue")
    cancel = actions.add_parser("cancel", help="cancel jobs that wait or run")
    cancel.add_argument("jobs", nargs="+", metavar="ID", help="the id of a job as the table shows it")
    requeue = actions.add_parser("requeue", help="reopen replies with failed jobs, so that these are rendered again")
    which = requeue.add_mutually_exclusive_group(required=True)
    which.add_argument("jobs", nargs="*", default=[], metavar="ID", help="the id of a job as `queue --dead` shows it")
    which.add_argument("--all", action="store_true", help="all jobs that failed for good")


def _add_export(parser: ArgumentParser) -> None:
    parser.add_argument("thread", nargs="?", help="the key of a thread as the list shows it; without it, the list")
    parser.add_argument("--out", type=Path, default=Path("thread.zip"), help="the file to write (default: thread.zip)")


if __name__ == "__main__":
    sys.exit(main())
