"""Requests and responses of the web API as pydantic models. The OpenAPI document is generated from them."""

import base64
import binascii
import re
import uuid
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from bot.domain import HIGHEST_SEED, Action
from bot.errors import Refused
from bot.region import parse_polygon

MAX_ARGUMENT = 10_000  # characters
MAX_ARGUMENTS = 10
ID = r"^[A-Za-z0-9-]{1,64}$"
JOB_ID = r"^[A-Za-z0-9-]{1,64}\.[0-9]{1,4}$"
NUMBER = r"^[0-9]{1,9}$"

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], body: Any) -> Model:
    """Return the body of a request as a model. Raises Refused with a sentence about the first error."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        reason = _error_sentence(model, error.errors(include_url=False)[0])
        raise Refused("web-bad-request", reason=reason) from None


def _error_sentence(model: type[BaseModel], error: ErrorDetails) -> str:
    """Return a sentence about an error; the description of the field says what its value must be."""
    match error["type"], error["loc"]:
        case "sentence", _:
            return error["msg"]
        case _, ():
            return "the body must be a JSON object."
        case _, (*_, "[key]"):
            return "an argument's name must be 1 to 40 small letters and underscores."
        case "text", (*_, name):
            return f"'{name}' must be a text."
        case "string_too_long", (*_, name):
            return f"'{name}' may have {error['ctx']['max_length']:,} characters; this has {len(error['input']):,}."
    name = str(error["loc"][0])
    fields = (field for known, field in model.model_fields.items() if name in (known, *_old_keys(field)))
    return f"'{name}' must be {next(fields).description}."


def _old_keys(field: Any) -> list[str]:
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else []


def _sentence(text: str) -> PydanticCustomError:
    return PydanticCustomError("sentence", "{text}", {"text": text})


def _clean(value: Any) -> str:
    """Return the text; null is an empty text, and lone surrogates, which UTF-8 cannot encode, are replaced."""
    if not isinstance(value, str | None):
        raise PydanticCustomError("text", "must be a text")
    return (value or "").encode("utf-8", "replace").decode()


def _decode_file(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise _sentence("an image must be sent as base64 of the whole file.") from None


def _check_region(value: str) -> str:
    try:
        if value:
            parse_polygon(value)
    except ValueError as error:
        raise _sentence(str(error)) from None
    return value


def _target_text(value: Any) -> str:
    return str(value)[:100] if isinstance(value, str | int) and not isinstance(value, bool) else ""


Text = Annotated[str, BeforeValidator(_clean)]
Trimmed = Annotated[str, StringConstraints(strip_whitespace=True), BeforeValidator(_clean)]
File = Annotated[bytes, BeforeValidator(_decode_file), WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
Target = Annotated[str, BeforeValidator(_target_text), WithJsonSchema({"type": ["string", "integer"]})]
ArgumentName = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]
Argument = Annotated[str, StringConstraints(max_length=MAX_ARGUMENT), BeforeValidator(_clean)]


def new_id() -> str:
    """Return a new id for a request without one."""
    return uuid.uuid4().hex


class UserRequest(BaseModel):
    """The fields of every request of a user; unknown fields are ignored, and null means an empty text.

    The description of a field completes the sentence "'field' must be ..." of an error.
    """

    model_config = ConfigDict(frozen=True)

    id: Annotated[str, BeforeValidator(lambda value: value or new_id())] = Field(
        default_factory=new_id, pattern=ID, description="1 to 64 letters, digits and hyphens"
    )
    author: Text = Field("", description="the name of the user")


class MessageRequest(UserRequest):
    """A message of a user. `pictures` holds at most four image files of at most 20 MB."""

    text: Text = Field("", description="the text of the message")
    about: StrictInt | None = Field(
        None, ge=0, le=999_999_999, description="the number of the image that the message is about, or null"
    )
    region: Annotated[Text, AfterValidator(_check_region)] = Field(
        "",
        validation_alias=AliasChoices("region", "part"),
        description="3 to 100 points around the region that should change, in percent of the image's width and height",
        examples=["12.5,30 40,30 40,62"],
    )
    pictures: Annotated[list[File], BeforeValidator(lambda value: value or [])] = Field(
        [], description="a list of image files in base64"
    )

    @model_validator(mode="after")
    def _check_about(self) -> Self:
        if self.region and self.about is None:
            raise _sentence("'region' marks a region of the image that the message is about: it needs 'about'.")
        return self


class ButtonRequest(UserRequest):
    """A button press. `target` is the target of the button in the message."""

    action: Action = Field(description=f"one of {', '.join(Action)}")
    target: Target = Field(description="the target of a button")

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        match self.action:
            case Action.CANCEL:
                pattern = JOB_ID
            case Action.STOP | Action.RETRY:
                pattern = ID
            case _:
                pattern = NUMBER
        if not re.fullmatch(pattern, self.target):
            raise _sentence("'target' must be the target of a button.")
        return self


class CommandRequest(UserRequest):
    """A slash command."""

    name: ArgumentName = Field(description="the name of a command")
    arguments: Annotated[dict[ArgumentName, Argument], BeforeValidator(lambda value: value or {})] = Field(
        {}, max_length=MAX_ARGUMENTS, description=f"an object of at most {MAX_ARGUMENTS} texts"
    )


class ImagineRequest(UserRequest):
    """An image request without the chat model. Empty values and null mean the values of the settings."""

    prompt: Text = Field("", description="the prompt")
    aspect_ratio: Trimmed = Field(
        "",
        pattern=r"^([1-9][0-9]?:[1-9][0-9]?)?$",
        validation_alias=AliasChoices("aspect_ratio", "ratio"),
        description="width to height, such as 3:2",
    )
    count: StrictInt | None = Field(None, ge=0, le=99, description="a whole number from 0 to 99, or null")
    model: Trimmed = Field("", max_length=200, description="the name of an image model")
    seed: StrictInt | None = Field(
        None, ge=0, le=HIGHEST_SEED, description=f"a whole number from 0 to {HIGHEST_SEED:,}, or null"
    )
    negative_prompt: Trimmed = Field(
        "",
        max_length=500,
        validation_alias=AliasChoices("negative_prompt", "negative"),
        description="the text that says what the image must not show",
    )
