"""What an images API is sent, and what is made of its refusals, without a server."""

import pytest

from bot.capabilities import Editing
from bot.domain import Operation
from render.images_api.api_errors import (
    CannotEdit,
    Final,
    Later,
    Lost,
    NoEntry,
    Refusal,
    Verdict,
    Without,
    refusal_of,
    verdict,
)
from render.images_api.request import Found, Size, abilities, closest, found, misshapen, parameters, sizes, unknown_to
from render.protocol import Task

SENT = {"prompt": "a seed in size", "size": "1024x576", "stream": True, "partial_images": 2, "seed": 1}


def judged(refusal: Refusal, edits: bool = False) -> Verdict:
    """The verdict on a refusal of all that was sent."""
    return verdict(refusal, SENT, edits=edits, model="m", server="http://s")


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
    assert closest(wanted, sizes(model)) == taken


def test_only_a_difference_that_shows_is_told() -> None:
    """A size that was asked for by number counts to the pixel, a ratio by the eye."""
    free, exact = (Task("a", Operation.GENERATE, "p", 1, width=side, height=side) for side in (None, 512))
    assert misshapen(free, (1360, 768), (1392, 720)) and not misshapen(free, (1360, 768), (680, 384))
    assert misshapen(exact, (512, 512), (1024, 1024)) and not misshapen(exact, (512, 512), (512, 512))


def test_nothing_is_sent_that_the_model_is_known_to_refuse() -> None:
    """OpenAI's models get no seed; the old ones are not asked to stream, and do not edit."""
    task = Task("a", Operation.GENERATE, "p", 1, num_inference_steps=4, guidance_scale=2.0)
    told = {
        model: parameters(task, model, "p", (64, 32), unknown_to(model)) for model in ("gpt-image-2", "dall-e-3", "m")
    }
    assert told["gpt-image-2"].keys() - told["dall-e-3"].keys() == {"stream", "partial_images", "output_format"}
    assert told["dall-e-3"].keys() - told["gpt-image-2"].keys() == {"response_format"}
    assert told["m"].keys() - told["gpt-image-2"].keys() == {
        "seed", "response_format", "num_inference_steps", "guidance_scale",
    }  # fmt: skip
    assert abilities("dall-e-3").editing is Editing.REDRAW and abilities("gpt-image-2").editing is Editing.INSTRUCT


@pytest.mark.parametrize(
    ("refusal", "edits", "kind"),
    [
        (Refusal(400, code="moderation_blocked"), False, Final),
        (Refusal(400, words="Your request was rejected by our safety system."), True, Final),
        (Refusal(400, code="billing_hard_limit_reached"), False, Final),
        (Refusal(401), False, NoEntry),
        (Refusal(403, words="Your organization must be verified to use the model `m`."), False, NoEntry),
        (Refusal(404, code="model_not_found"), True, Final),
        (Refusal(404, words="The model `m` does not exist"), True, Final),
        (Refusal(404, words="Not Found"), True, CannotEdit),
        (Refusal(404, words="Not Found"), False, Final),
        (Refusal(400, words="This model does not support image input."), True, CannotEdit),
        (Refusal(413), True, Final),
        (Refusal(429, wait=3.0), False, Later),
        (Refusal(429, code="insufficient_quota"), False, Final),
        (Refusal(500), False, Lost),
        (Refusal(529), False, Lost),
        (Refusal(None, words="Something went wrong."), False, Lost),
        (Refusal(400, words="a seed in size is a prompt that is too long"), False, Final),
    ],
)
def test_refusals_are_told_apart(refusal: Refusal, edits: bool, kind: type[Verdict]) -> None:
    """By status, code and words; words of the prompt do not count."""
    assert isinstance(judged(refusal, edits), kind)


def test_the_parameter_that_is_meant_is_found() -> None:
    """By its name apart, or as the first among the words; what makes no sense without it goes, too."""
    assert judged(Refusal(400, parameter="seed", words="Unknown. Try size.")) == Without(frozenset({"seed"}))
    assert judged(Refusal(422, words="loc: body, seed")) == Without(frozenset({"seed"}))
    assert judged(Refusal(400, words="Streaming is off")) == Without(frozenset({"stream", "partial_images"}))
    assert judged(Refusal(400, words="partial_images needs stream")) == Without(frozenset({"partial_images"}))
    assert isinstance(judged(Refusal(400, words="response_format is unknown")), Final)  # it was not sent


def test_sizes_are_learnt_from_a_list_alone() -> None:
    """A smallest and a largest size are no list, and the one that was refused is not in it."""
    told = "Invalid value: '1024x576'. Supported values are: '512x512', '1024x1024'."
    assert judged(Refusal(400, words=told)) == Without(frozenset({"size"}), ((512, 512), (1024, 1024)))
    assert judged(Refusal(400, words="The size must be from 256x256 to 2048x2048")) == Without(frozenset({"size"}))


def test_a_refusal_is_read_in_any_shape() -> None:
    """Mappings, lists and plain words; what repeats the request is passed over, and only names are for the log."""
    fault = refusal_of({"code": "bad", "param": "a prompt, say", "message": "no"}, 400, "7")
    assert (fault.code, fault.wait, fault.named) == ("bad", 7.0, "bad")
    assert "secret" not in refusal_of({"detail": [{"loc": ["body"], "input": "secret"}]}, 422).words
    assert refusal_of("words", 400).words == "words" and refusal_of(None).words == ""
    assert refusal_of({}, 429, "Wed, 21 Oct 2015 07:28:00 GMT").wait == 0
    assert refusal_of({}, 429, "soon").wait is None


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        ({"data": [{"b64_json": "QQ=="}]}, Found(base64="QQ==")),
        ({"data": [{"b64_json": None, "url": "/a.png"}]}, Found(url="/a.png")),
        ({"data": [{"b64_json": "data:image/png;base64,QQ=="}]}, Found(base64="QQ==")),
        ({"data": [{"url": "data:image/png;base64,QQ=="}]}, Found(base64="QQ==")),
        ({"type": "image_edit.partial_image", "b64_json": "QQ==", "partial_image_index": 1}, Found("QQ==", preview=1)),
        ({"type": "image_generation.completed", "b64_json": "QQ=="}, Found("QQ==")),
        ({"data": []}, None),
        ({"data": ["QQ=="]}, None),
        ({"data": {}}, None),
        ([], None),
        ("QQ==", None),
    ],
)
def test_the_picture_is_found_in_an_answer(answer: object, where: Found | None) -> None:
    """Wherever servers put it; what is no answer holds none."""
    assert found(answer) == where
