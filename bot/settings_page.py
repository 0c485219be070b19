"""Generates `docs/settings.md` from the settings: `python -m bot.settings_page > docs/settings.md`. Pure."""

import sys
from collections.abc import Iterable
from string import Template

from bot.settings.rules import DEFAULT_CHOICE, MANAGERS_ONLY, SETTINGS, AvailableModels, Setting, format_value
from bot.settings.styles import STYLE_PROMPTS
from bot.settings.values import Scope, Settings

_MODELS = {
    "chat_model": "`default`, or one of `LLM_MODEL` and `LLM_MODELS`",
    "image_model": "`default`, or a model of a worker that is at work",
}
_DEFAULTS = {
    "improve_prompts": "`REFINE` of the [configuration](configuration.md); `off` without a chat server",
    "persona": "`PERSONA` of the [configuration](configuration.md)",
}

_PAGE = Template("""\
# Settings

What people choose while the bot runs: who talks, who draws, in which style, who is answered, how much is drawn. \
What whoever runs the bot sets before it starts is in [configuration.md](configuration.md).

<!-- Made by `python -m bot.settings_page > docs/settings.md`; a test compares. -->

| setting | what it says | what it can be | default | for whom | who may change it |
|---|---|---|---|---|---|
$rows

## Which choice wins

A choice is made for one of five scopes: the `server` (on Slack the workspace), on Discord a `category` of channels, \
a `channel`, a `thread`, or `me`. For each setting alone the narrowest choice wins: one's own before the thread's, \
that before the channel's, that before the category's, that before the server's, and that before the default. \
So a server with `ratio` 3:2 in which Ann chose 1:1 draws squares for Ann, in all of its threads, and \
3:2 for everybody else.

`usual` is a choice like any other: whoever chooses the `usual` chat model has it, whatever the server chose. To \
have no choice of one's own, *reset* the setting.

A narrower text takes the place of the wider one and is not added to it: a channel with a `rule` or a `persona` of \
its own has that one alone.

A category's choices hold for the channels that lie in it: a channel that is moved to another category goes by that \
one's at once, and one whose category was deleted by the server's. Choose them in any of its channels.

`me` holds on all servers of the platform; a thread's own settings are forgotten with the thread.

## Who may change what

- `me`: everybody, for themselves.
- `thread`: everybody who is in it.
- `channel`: managers; with `changers` set to `everyone`, everybody, but for these: $guarded.
- `category`: managers.
- `server`: managers.

Managers are on Discord those who have *Manage Messages*, *Manage Server* or *Administrator* there, and on Slack \
the admins and owners of the workspace; and everywhere those whom the server's `managers` names, by themselves, by a \
role of Discord or by a user group of Slack. Everybody may look at everything.

## How to change them

**On Discord.** `/settings panel` is one message with all of them, and menus to change them. By hand:

| | |
|---|---|
| `/settings show [scope]` | what holds, and where it comes from |
| `/settings set key value [scope]` | choose; keys and values are offered while you type |
| `/settings reset [key] [scope]` | no choice any more; without a key none at all in that scope |

Without a scope it is `me`. Give commands about a thread in that thread.

**On Slack.** `/minidalle settings` opens a form of all of them, with a menu of the scopes at its top. Slack has \
no commands in threads: there write `@bot settings` for what holds, `@bot settings set ratio 16:9 thread` or `@bot \
settings reset ratio thread`. What has spaces in it goes into the form. The bot's **Home** tab has a button for \
your own. A field that is left empty is reset.

**On the web page** the button **Settings** opens them all: for *me*, by the name that you write under, for *this \
conversation* (`thread`), *this page* (`channel`) or *everybody here* (`server`). Whoever can open the page is a \
manager there.

## When the bot answers

It always answers when it is mentioned. On Discord, a reply to one of its messages counts as a mention while *@ \
ON*, to the right above the text field, is on, which is Discord's default: the bot is pinged as by a mention. So \
`unasked` set to `never` does not keep it from answering such replies.

| `unasked` | what is answered although nobody mentioned the bot |
|---|---|
| `threads` | what is said in its own threads, unless it is for somebody else; on Discord also replies to it |
| `pictures` | replies to its pictures; on Slack, which has none, what names one in its threads, as in *make #2 red* |
| `never` | nothing |

In direct messages it answers everything.

## Limits

| | counts | for each |
|---|---|---|
| `daily` | pictures ordered in the last 24 hours | person, over the whole server |
| `server_daily` | the same | server |
| `at_once` | pictures that wait or are drawn | person, over the whole server |

0 is as many as one likes. A picture counts from when it is ordered. One that fails or is cancelled is given back; \
one that is deleted, or forgotten with its thread, is not. *Retry* counts like any other order. A wish for several \
pictures is drawn whole or not at all; of an answer of the chat model, as many as there are left. Who is over a \
limit is told when the next picture is free. A restart changes nothing of it, and limits hold for managers, too.

`/settings set key:daily value:20 scope:server` gives everybody twenty a day; `/settings set key:daily value:5 \
scope:channel` makes it five for what is asked in that channel, where what was drawn elsewhere counts as well. On \
Discord direct messages belong to no server, and no server's limits hold there; on Slack they are part of the \
workspace.

## The content rule

`rule` holds words, one a line, and each counts in any case and as a whole: `gore` forbids *Gore!* and not \
*gorey*. A line between slashes is a \
[pattern](https://docs.python.org/3/library/re.html#regular-expression-syntax), which counts anywhere:

```
gore
the mayor
/blood(y|ied)?\\b/
/colou?r of money/
```

It is held against wishes before they are recorded, against what the chat model asks for, against edits and \
variations, and against every prompt as the picture model is told it, refined and with its style. What was \
forbidden is not said again, and does not reach the log. It is not held against talk, nor against what is *not* to \
be seen (`negative`). A pattern that has not ended after a twentieth of a second, or all of them after a quarter, \
forbids nothing, so that nobody waits for it: keep them simple. `/(a+)+$$/` is a bad one.

A rule of words is easily got around. For a judgement there is `MODERATION_URL` in the \
[configuration](configuration.md).

## Who is answered

`allowed` and `blocked` are lists of channels, roles, user groups and people, as mentions or ids, with spaces, commas \
or new lines between them:

```
<@80351110224678912> <#41771983423143937>, <@&165511591545143296>
U024BE7LH <#C012AB3CD|design> <!subteam^S0614TZR7> @designers
```

- Whoever is in `blocked`, or asks in a channel that is, is not answered.
- If there is anything in `allowed`, only those are answered who are in it, or ask in a channel that is. So \
`<#41771983423143937>` alone makes the bot answer in one channel, and there everybody.
- Who is in both is not answered. Managers always are.

Write mentions as the platform completes them, or ids: a name such as `@ann` or `#general` that was only typed \
means nobody. Only the handle of a user group of Slack, as in `@designers`, means what it says.

## Styles

| `style` | what is added to a prompt for a new picture |
|---|---|
$styles

A prompt that names the style already stays as it is, and so do edits and variations.
""")


def render_page() -> str:
    """Return the whole page as Markdown."""
    rows = "\n".join(map(_row, SETTINGS.values()))
    styles = "\n".join(f"| `{name}` | {words} |" for name, words in STYLE_PROMPTS.items())
    return _PAGE.substitute(rows=rows, styles=styles, guarded=", ".join(_as_code(sorted(MANAGERS_ONLY))))


def _row(key: Setting) -> str:
    default = _DEFAULTS.get(key.name) or f"`{format_value(getattr(Settings(), key.name)) or DEFAULT_CHOICE}`"
    if not key.choices and not key.maximum and key.name not in _DEFAULTS:
        default = "nothing"
    cells = (
        f"`{key.name}`",
        f"**{key.title}.** {key.description}",
        _allowed_values(key),
        default,
        _scopes(key),
        _editors(key),
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _allowed_values(key: Setting) -> str:
    if key.name in _MODELS:
        return _MODELS[key.name]
    if key.choices:
        return ", ".join(_as_code(map(str, key.choices(AvailableModels()))))
    return f"0 to {key.maximum:,}" if key.maximum else f"up to {key.max_length:,} characters"


def _scopes(key: Setting) -> str:
    return ", ".join(_as_code(key.scopes))


def _editors(key: Setting) -> str:
    if Scope.PERSON in key.scopes:
        return "managers; in a thread and for themselves everybody"
    if Scope.THREAD in key.scopes:
        return "managers; in a thread everybody"
    return "managers alone" if key.name in MANAGERS_ONLY or key.scopes == (Scope.SERVER,) else "managers"


def _as_code(names: Iterable[str]) -> list[str]:
    return [f"`{name}`" for name in names]


if __name__ == "__main__":
    sys.stdout.write(render_page())
