"""Responses of the web API as pydantic models. The OpenAPI document is generated from them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


def _absent_if_none() -> Any:
    """Return a field that the JSON object does not have if its value is None."""
    return Field(None, exclude_if=lambda value: value is None)


class ErrorJson(BaseModel):
    """The body of every response from status 400: a sentence."""

    error: str


class HealthJson(BaseModel):
    """The state of the program, and of each platform except the web app."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, Any]]

    status: Literal["ok", "degraded"]


class PageTextsJson(BaseModel):
    """The texts of the page by id. `{name}` is an argument; an object has the plural forms of `count` (CLDR)."""

    language: str
    texts: dict[str, str | dict[str, str]]


class NewThreadJson(BaseModel):
    """A new thread."""

    id: str


class ThreadJson(BaseModel):
    """A thread. `updated` is in seconds since 1970."""

    id: str
    title: str
    updated: float


class ThreadsJson(BaseModel):
    """All threads, the one with the newest message first."""

    threads: list[ThreadJson]


class AcceptedJson(BaseModel):
    """The id of the message that the bot answers.

    A press of `edit` has `about` instead: the page asks for the text and sends it as a message about this image.
    """

    message_id: str | None = _absent_if_none()
    about: int | None = _absent_if_none()


class PictureJson(BaseModel):
    """A finished image."""

    number: int
    url: str
    alt: str = Field(description="alternative text")
    prompt: str
    refined: str = Field(description="the prompt that the image model received, if it is a different one")
    seed: int | None
    model: str | None
    width: int
    height: int
    parent: int | None = Field(description="the number of the source image")
    operation: str
    way: str = Field(description="how the operation was carried out")
    notes: list[str] = Field(description="sentences about parts of the request that could not be fulfilled")


class TextPartJson(BaseModel):
    """A text. `html` is the Markdown as HTML, without raw HTML, images and unsafe links."""

    type: Literal["text"] = "text"
    markdown: str
    html: str


class PicturePartJson(BaseModel):
    """An image in its current state."""

    type: Literal["picture"] = "picture"
    number: int
    state: Literal["queued", "rendering", "rendered", "failed"]
    fraction: float | None = Field(None, description="the finished share of the steps, from 0 to 1")
    note: str | None = Field(None, description="a queued image: its position and its estimate")
    reason: str | None = Field(None, description="a failed image: a sentence about the error")
    preview: str | None = Field(None, description="a JPEG file as a data URL")
    picture: PictureJson | None = Field(None, description="a rendered image")


class ButtonJson(BaseModel):
    """A button below a message."""

    action: str
    label: str
    target: str


class MessageJson(BaseModel):
    """A message of a user, or the bot's reply to it, which changes until it is final.

    Until then the text only grows, and parts are only appended.
    """

    id: str
    author: str
    kind: Literal["person", "bot"]
    final: bool
    status: str = Field(description="the progress of the reply; on a final reply empty, or a sentence about an error")
    about: int | None = Field(description="the number of the image that the message is about")
    region: str | None = _absent_if_none()
    parts: list[TextPartJson | PicturePartJson]
    buttons: list[ButtonJson]
    reply_to: str | None = _absent_if_none()


class MessagesJson(BaseModel):
    """All messages of a thread in order, each followed by its reply."""

    messages: list[MessageJson]


class SettingJson(BaseModel):
    """A setting with its value in a scope."""

    key: str
    title: str
    description: str
    value: str
    source: str = Field(description="the scope that the value comes from, or default")
    choices: list[str] = Field(description="all possible values; empty for text and numbers")
    choice_names: list[str] = Field(description="the choices as users see them")
    max_length: int = Field(description="of a text, in characters")
    maximum: int = Field(description="of a number; 0 for other settings")


class SettingsJson(BaseModel):
    """All settings of a scope."""

    scope: str
    fields_: list[SettingJson] = Field(alias="fields")


class AttachmentJson(BaseModel):
    """A file, with the address of the file or, if it has none, the file as a data URL."""

    name: str
    alt: str
    url: str | None = _absent_if_none()
    data: str | None = _absent_if_none()


class CommandJson(BaseModel):
    """The result of a slash command."""

    text: str
    html: str
    panel: SettingsJson | None
    attachment: AttachmentJson | None


class LineageNodeJson(BaseModel):
    """An image with its place in the drawing of the lineage, counted from 0 at the top left."""

    picture: PictureJson
    column: int
    row: int
    parent: int | None = Field(description="the number of the source image, if the lineage contains it")


class LineageJson(BaseModel):
    """The images of a thread by source image."""

    nodes: list[LineageNodeJson]


class QueuedJobJson(BaseModel):
    """A job. Times are in seconds."""

    id: str
    thread: str | None = Field(description="the thread, if it belongs to the web app")
    number: int
    operation: str
    model: str = Field(description="empty if the workers choose the model")
    waited: float = Field(description="since the request")
    eta: float | None = Field(description="until the image is rendered; null if there is no measurement yet")


class RunningJobJson(QueuedJobJson):
    """A job that a worker renders."""

    fraction: float = Field(description="the finished share of the steps, from 0 to 1")


class WaitingJobJson(QueuedJobJson):
    """A job that waits."""

    position: int = Field(description="among the waiting jobs, from 1")
    ahead: int | None = Field(
        description="how many jobs come before this one, including running jobs; null if no worker can take it yet"
    )


class JobCountsJson(BaseModel):
    """How many jobs there are; the lists hold at most 200 each."""

    running: int
    waiting: int


class WorkerJson(BaseModel):
    """A worker. It has 0 slots while it loads or cannot be reached."""

    name: str
    model: str
    slots: int = Field(description="how many batches it renders at the same time")
    busy: int
    problem: str = Field(description="why the worker cannot render, or empty")


class QueueJson(BaseModel):
    """The queue, without names and prompts of users."""

    running: list[RunningJobJson]
    waiting: list[WaitingJobJson]
    counts: JobCountsJson
    workers: list[WorkerJson]
    pace: dict[str, float] = Field(description="seconds per megapixel and step, by model")
