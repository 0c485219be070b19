"""How much of a prompt a model reads: diffusers drops the tokens beyond the limit of the text encoder."""

import inspect
from collections.abc import Callable
from typing import Any

NO_LIMIT = 100_000  # tokens: a tokenizer with a larger value has no limit


def prompt_truncator(pipe: Any) -> Callable[[str], str]:
    """A function that returns the beginning of a prompt that the pipeline reads; the whole prompt if that is unknown.

    Of several text encoders the one with the highest limit counts: T5 reads what CLIP drops. The text that some
    pipelines add around a prompt is not counted, so a few words more may be dropped.
    """
    tokenizers = [getattr(pipe, name, None) for name in ("tokenizer", "tokenizer_2", "tokenizer_3")]
    limits = [(_token_limit(pipe, each), each) for each in tokenizers if callable(each)]
    most, tokenizer = max(limits, key=lambda limit: limit[0], default=(NO_LIMIT, None))
    if most >= NO_LIMIT or tokenizer is None:
        return str

    def read(prompt: str) -> str:
        own = most - tokenizer.num_special_tokens_to_add()
        ends = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
        return prompt if len(ends) <= own else prompt[: ends[own - 1][1]]

    return read


def _token_limit(pipe: Any, tokenizer: Any) -> int:
    """The limit in tokens: of CLIP, the limit of the tokenizer; of other encoders, `max_sequence_length` if smaller."""
    limit = int(tokenizer.model_max_length)
    argument = inspect.signature(type(pipe).__call__).parameters.get("max_sequence_length")
    if argument is None or not isinstance(argument.default, int) or type(tokenizer).__name__.startswith("CLIP"):
        return limit
    return min(limit, argument.default)
