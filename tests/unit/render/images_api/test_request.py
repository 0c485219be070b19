"""What an images API is sent, and what is made of its refusals, without a server."""

import pytest

from bot.capabilities import Editing
from bot.domain import Operation, Sampling
from render.images_api.api_errors import (
    EditsUnsupported,
    ErrorKind,
    ErrorResponse,
    KeyRefused,
    PermanentError,
    RetryLater,
    ServerLost,
    UnsupportedParameters,
    classify_error,
    parse_error_body,
)
from render.images_api.request import (
    ReceivedImage,
    Size,
    closest_size,
    find_image,
    fixed_sizes,
    model_capabilities,
    request_body,
    size_mismatch_note,
    unsupported_parameters,
)
from render.protocol import ImageTask

SENT = {"prompt": "a seed in size", "size": "1024x576", "stream": True, "partial_images": 2, "seed": 1}


def judged(refusal: ErrorResponse, edits: bool = False) -> ErrorKind:
    """The verdict on a refusal of all that was sent."""
    return classify_error(refusal, SENT, is_edit=edits, model="m", server="http://s")


@pytest.mark.parametrize(
    ("model", "wanted", "taken"),
    [
        ("gpt-image-1", (1360, 768), (1536, 1024)),
        ("gpt-image-1-mini", (768, 1360), (1024, 1536)),
        ("gpt-image-1.5", (1120, 960), (1024, 1024)),
        ("gpt-image-2", (1360, 768), (1360, 768)),
        ("chatgpt-image-latest", (512, 512), (1024, 1024)),
        ("dall-e-3", (1360, 768), (1792, 1024)),
        ("dall-e-2", (500, 520), (512, 512)),
        ("Qwen/Qwen-Image", (1360, 768), (1360, 768)),
    ],
)
def test_the_closest_size_is_taken(model: str, wanted: Size, taken: Size) -> None:
    """First by shape, then by area; a model of which nothing is known gets what was wished."""
    assert closest_size(wanted, fixed_sizes(model)) == taken


def test_only_a_difference_that_shows_is_reported() -> None:
    """A size that was asked for by number counts to the pixel, a ratio by the eye."""
    free, exact = (
        ImageTask("a", Operation.GENERATE, "p", sampling=Sampling(seed=1, size=size)) for size in (None, (512, 512))
    )
    assert size_mismatch_note(free, (1360, 768), (1392, 720)) and not size_mismatch_note(free, (1360, 768), (680, 384))
    assert size_mismatch_note(exact, (512, 512), (1024, 1024)) and not size_mismatch_note(exact, (512, 512), (512, 512))


def test_nothing_is_sent_that_the_model_is_known_to_refuse() -> None:
    """OpenAI's models get no seed; the old ones are not asked to stream, and do not edit."""
    task = ImageTask("a", Operation.GENERATE, "p", sampling=Sampling(seed=1, num_inference_steps=4, guidance_scale=2.0))
    bodies = {
        model: request_body(task, model, "p", (64, 32), unsupported_parameters(model))
        for model in ("gpt-image-2", "dall-e-3", "m")
    }
    assert bodies["gpt-image-2"].keys() - bodies["dall-e-3"].keys() == {"stream", "partial_images", "output_format"}
    assert bodies["dall-e-3"].keys() - bodies["gpt-image-2"].keys() == {"response_format"}
    assert bodies["m"].keys() - bodies["gpt-image-2"].keys() == {
        "seed", "response_format", "num_inference_steps", "guidance_scale",
    }  # fmt: skip
    assert (
        model_capabilities("dall-e-3").editing is Editing.REDRAW
        and model_capabilities("gpt-image-2").editing is Editing.INSTRUCT
    )


@pytest.mark.parametrize(
    ("refusal", "edits", "kind"),
    [
        (ErrorResponse(400, code="moderation_blocked"), False, PermanentError),
        (ErrorResponse(400, message="Your request was rejected by our safety system."), True, PermanentError),
        (ErrorResponse(400, code="billing_hard_limit_reached"), False, PermanentError),
        (ErrorResponse(401), False, KeyRefused),
        (ErrorResponse(403, message="Your organization must be verified to use the model `m`."), False, KeyRefused),
        (ErrorResponse(404, code="model_not_found"), True, PermanentError),
        (ErrorResponse(404, message="The model `m` does not exist"), True, PermanentError),
        (ErrorResponse(404, message="Not Found"), True, EditsUnsupported),
        (ErrorResponse(404, message="Not Found"), False, PermanentError),
        (ErrorResponse(400, message="This model does not support image input."), True, EditsUnsupported),
        (ErrorResponse(413), True, PermanentError),
        (ErrorResponse(429, retry_after=3.0), False, RetryLater),
        (ErrorResponse(429, code="insufficient_quota"), False, PermanentError),
        (ErrorResponse(500), False, ServerLost),
        (ErrorResponse(529), False, ServerLost),
        (ErrorResponse(None, message="Something went wrong."), False, ServerLost),
        (ErrorResponse(400, message="a seed in size is a prompt that is too long"), False, PermanentError),
    ],
)
def test_refusals_are_distinguished(refusal: ErrorResponse, edits: bool, kind: type[ErrorKind]) -> None:
    """By status, code and words; words of the prompt do not count."""
    assert isinstance(judged(refusal, edits), kind)


def test_the_parameter_that_is_meant_is_found() -> None:
    """By its name apart, or as the first among the words; what makes no sense without it goes, too."""
    assert judged(ErrorResponse(400, parameter="seed", message="Unknown. Try size.")) == UnsupportedParameters(
        frozenset({"seed"})
    )
    assert judged(ErrorResponse(422, message="loc: body, seed")) == UnsupportedParameters(frozenset({"seed"}))
    assert judged(ErrorResponse(400, message="Streaming is off")) == UnsupportedParameters(
        frozenset({"stream", "partial_images"})
    )
    assert judged(ErrorResponse(400, message="partial_images needs stream")) == UnsupportedParameters(
        frozenset({"partial_images"})
    )
    assert isinstance(
        judged(ErrorResponse(400, message="response_format is unknown")), PermanentError
    )  # it was not sent


def test_sizes_are_learnt_from_a_list_alone() -> None:
    """A smallest and a largest size are no list, and the one that was refused is not in it."""
    message = "Invalid value: '1024x576'. Supported values are: '512x512', '1024x1024'."
    assert judged(ErrorResponse(400, message=message)) == UnsupportedParameters(
        frozenset({"size"}), ((512, 512), (1024, 1024))
    )
    assert judged(ErrorResponse(400, message="The size must be from 256x256 to 2048x2048")) == UnsupportedParameters(
        frozenset({"size"})
    )


def test_a_refusal_is_read_in_any_shape() -> None:
    """Mappings, lists and plain words; what repeats the request is passed over, and only names are for the log."""
    fault = parse_error_body({"code": "bad", "param": "a prompt, say", "message": "no"}, 400, "7")
    assert (fault.code, fault.retry_after, fault.loggable_code) == ("bad", 7.0, "bad")
    assert "secret" not in parse_error_body({"detail": [{"loc": ["body"], "input": "secret"}]}, 422).message
    assert parse_error_body("words", 400).message == "words" and parse_error_body(None).message == ""
    assert parse_error_body({}, 429, "Wed, 21 Oct 2015 07:28:00 GMT").retry_after == 0
    assert parse_error_body({}, 429, "soon").retry_after is None


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        ({"data": [{"b64_json": "QQ=="}]}, ReceivedImage(base64="QQ==")),
        ({"data": [{"b64_json": None, "url": "/a.png"}]}, ReceivedImage(url="/a.png")),
        ({"data": [{"b64_json": "data:image/png;base64,QQ=="}]}, ReceivedImage(base64="QQ==")),
        ({"data": [{"url": "data:image/png;base64,QQ=="}]}, ReceivedImage(base64="QQ==")),
        (
            {"type": "image_edit.partial_image", "b64_json": "QQ==", "partial_image_index": 1},
            ReceivedImage("QQ==", preview_index=1),
        ),
        ({"type": "image_generation.completed", "b64_json": "QQ=="}, ReceivedImage("QQ==")),
        ({"data": []}, None),
        ({"data": ["QQ=="]}, None),
        ({"data": {}}, None),
        ([], None),
        ("QQ==", None),
    ],
)
def test_the_picture_is_found_in_an_answer(answer: object, where: ReceivedImage | None) -> None:
    """Wherever servers put it; what is no answer holds none."""
    assert find_image(answer) == where
