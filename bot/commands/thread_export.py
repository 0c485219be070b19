"""Exports a thread: a contact sheet of its images, or a ZIP.

The ZIP contains the images, a JSON file that says how they were made, and a page for offline use.
"""

import asyncio
import html
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from string import Template
from typing import Any, BinaryIO

from markdown_it import MarkdownIt

from bot.commands.contact_sheet import draw_contact_sheet
from bot.commands.lineage import OPERATION_LABELS
from bot.domain import Entry, Failed, Picture, PicturePart, Rendered, TextPart
from bot.formatting import replace_time_markers
from bot.notices import text

ReadFile = Callable[[str], bytes]

_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
  p { white-space: pre-line; } article { margin: 1.5rem 0; }
  article.bot { border-left: 3px solid #8aa; padding-left: 1rem; }
  h2 { font-size: 1rem; margin: 0 0 .25rem; } figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
  figcaption { font-size: .85rem; opacity: .8; } code { overflow-wrap: anywhere; }
</style>
<h1>$title</h1>
$body
</html>
""")


class ThreadExport:
    """Creates contact sheets and ZIP files on threads, off the event loop."""

    def __init__(self, read: ReadFile) -> None:
        """`read` returns the PNG file of a picture by its digest."""
        self._read = read

    async def draw_contact_sheet(self, pictures: Sequence[Picture]) -> bytes:
        """Draw the contact sheet, a PNG that shows the version history of the pictures."""
        return await asyncio.to_thread(draw_contact_sheet, pictures, self._read)

    async def pack_zip(self, title: str, entries: Sequence[Entry], pictures: Sequence[Picture]) -> bytes:
        """Pack the thread into a ZIP file."""
        return await asyncio.to_thread(self._pack_zip, title, entries, pictures)

    def _pack_zip(self, title: str, entries: Sequence[Entry], pictures: Sequence[Picture]) -> bytes:
        file = io.BytesIO()
        write_export(file, title, entries, pictures, self._read)
        return file.getvalue()


def write_export(
    file: BinaryIO, title: str, entries: Sequence[Entry], pictures: Sequence[Picture], read: ReadFile
) -> None:
    """Write the ZIP; blocks. `read` returns the file of an image by its digest; missing files are left out."""
    names: dict[int, str] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as folder:  # a PNG is compressed already
        for picture in pictures:
            try:
                png = read(picture.digest)
            except OSError:
                continue
            names[picture.number] = f"pictures/{picture.number:04}.png"
            folder.writestr(names[picture.number], png)
        requested_by = {
            number: entry for entry in reversed(entries) for number in _picture_numbers(entry)
        }  # the first entry wins
        data = [
            _picture_json(picture, names.get(picture.number), requested_by.get(picture.number)) for picture in pictures
        ]
        folder.writestr("pictures.json", json.dumps({"title": title, "pictures": data}, indent=2, ensure_ascii=False))
        body = "\n".join(_render_article(entry, names) for entry in entries)
        folder.writestr("index.html", _PAGE.substitute(title=html.escape(title), body=body))


def _picture_json(picture: Picture, name: str | None, entry: Entry | None) -> dict[str, Any]:
    """The entry of one image in `pictures.json`."""
    return {
        "number": picture.number,
        "file": name,
        "operation": picture.request.operation.value,
        "parent": picture.request.source,
        "prompt": picture.request.prompt,
        "refined": picture.refined_prompt or None,
        "seed": picture.request.sampling.seed,
        "model": picture.model,
        "width": picture.width,
        "height": picture.height,
        "sha256": picture.digest,
        "asked_by": entry.author.name if entry else None,
        "asked_in_words": entry.text if entry else None,
    }


def _picture_numbers(entry: Entry) -> list[int]:
    parts = entry.view.parts if entry.view else ()
    drawn = [part.number for part in parts if isinstance(part, PicturePart)]
    return [*(upload.number for upload in entry.uploads), *drawn]


def _render_article(entry: Entry, names: dict[int, str]) -> str:
    content = [f"<p>{html.escape(entry.text)}</p>"] if entry.text else []
    content += [_render_figure(upload, names) for upload in entry.uploads]
    question = f"<article><h2>{html.escape(entry.author.name)}</h2>{''.join(content)}</article>"
    answer = []
    for part in entry.view.parts if entry.view else ():
        match part:
            case TextPart(markdown):
                answer.append(_markdown.render(markdown))
            case PicturePart(state=Rendered(picture)):
                answer.append(_render_figure(picture, names))
            case PicturePart(number=number, state=Failed(reason)):
                answer.append(f"<p><em>#{number}: {html.escape(replace_time_markers(text(reason)))}</em></p>")
    return question + (f'<article class="bot"><h2>Mini-DALL·E 3</h2>{"".join(answer)}</article>' if answer else "")


def _render_figure(picture: Picture, names: dict[int, str]) -> str:
    if picture.number not in names:
        return f"<p><em>#{picture.number} is not here any more.</em></p>"
    of = f" of #{picture.request.source}" if picture.request.source else ""
    seed = f" · seed <code>{picture.request.sampling.seed}</code>" if picture.request.sampling.seed is not None else ""
    what = OPERATION_LABELS[picture.request.operation]
    caption = f"#{picture.number} · {what}{of}{seed}<br>{html.escape(picture.request.prompt)}"
    alt = html.escape(picture.alt or picture.request.prompt, quote=True)
    image = f'<img src="{names[picture.number]}" alt="{alt}" width="{picture.width}" height="{picture.height}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
