"""How much of a prompt a model reads: its text encoder takes so many tokens, and diffusers drops the others."""

import inspect
from collections.abc import Callable
from typing import Any

ENDLESS = 100_000  # tokens: a tokenizer that says more knows no limit


def reader(pipe: Any) -> Callable[[str], str]:
    """What gives the beginning of a prompt that the pipeline reads; all of it where the pipeline does not tell.

    Of several text encoders the one that reads most counts: what CLIP's misses is read by T5. What some pipelines say
    themselves around a prompt is not counted, so that the last few words may be missed too.
    """
    tokenizers = [getattr(pipe, name, None) for name in ("tokenizer", "tokenizer_2", "tokenizer_3")]
    limits = [(_limit(pipe, each), each) for each in tokenizers if callable(each)]
    most, tokenizer = max(limits, key=lambda limit: limit[0], default=(ENDLESS, None))
    if most >= ENDLESS or tokenizer is None:
        return str

    def read(prompt: str) -> str:
        own = most - tokenizer.num_special_tokens_to_add()
        ends = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
        return prompt if len(ends) <= own else prompt[: ends[own - 1][1]]

    return read


def _limit(pipe: Any, tokenizer: Any) -> int:
    """In tokens. CLIP's is the tokenizer's own; that of a longer-sighted encoder is chosen by the pipeline."""
    limit = int(tokenizer.model_max_length)
    argument = inspect.signature(type(pipe).__call__).parameters.get("max_sequence_length")
    if argument is None or not isinstance(argument.default, int) or type(tokenizer).__name__.startswith("CLIP"):
        return limit
    return min(limit, argument.default)
