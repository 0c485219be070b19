"""Tokenizers made of letters and bytes, without a file from anywhere: a token is a letter, or a special word."""

from typing import Any

import tokenizers
import transformers

ENDS = ("<|startoftext|>", "<|endoftext|>")
CHAT = tuple(
    f"<|{mark}|>"
    for mark in ("endoftext", "im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
)
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# What the pipelines say themselves around every prompt. A word of it is one token, as for the real tokenizers:
# Qwen-Image cuts off the first 34 or 64 tokens, and all the letters of it would drown the prompt.
FIRST = "system user assistant Describe color Picture You"  # without a space before them
SAID = """the image by detailing shape size texture quantity text spatial relationships of objects and background key
features input then explain how user's instruction should alter or modify Generate a new that meets requirements while
maintaining consistency with original where appropriate are an assistant designed to generate superior images degree
alignment based on textual prompts"""
PRINTED = [chr(code) for code in range(33, 127)]  # what ASCII can show, without the space


def clip() -> Any:
    """CLIP's, in lower case, with room for 75 letters; what is longer is cut off."""
    letters = _bytes()
    words = [*letters, *(letter + "</w>" for letter in letters), *ENDS]
    return transformers.CLIPTokenizer(vocab=_numbered(words), merges=[], model_max_length=77)


def t5() -> Any:
    """T5's, for ASCII; any other letter is unknown to it."""
    pieces = ["<pad>", "</s>", "<unk>", "▁", *PRINTED]
    return transformers.T5Tokenizer(vocab=[(piece, -1.0) for piece in pieces], extra_ids=0, model_max_length=512)


def qwen() -> Any:
    """Qwen's, with the marks of a chat and of a picture in it."""
    words = [*_bytes(), *CHAT]
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=_numbered(words), merges=[], chat_template=TEMPLATE, additional_special_tokens=list(CHAT)
    )
    tokenizer.add_tokens(_said())
    return tokenizer


def gemma() -> Any:
    """Gemma's, which spells in bytes what is not ASCII."""
    marks = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    words = [*marks, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *PRINTED]
    tokenizer = transformers.GemmaTokenizer(vocab=_numbered(words), merges=[])
    tokenizer.add_tokens(_said())
    return tokenizer


def _said() -> list[str]:
    return [*FIRST.split(), *(" " + word for word in SAID.split())]


def _bytes() -> list[str]:
    """The letters that stand for the 256 bytes, always in the same order."""
    return sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())


def _numbered(words: list[str]) -> dict[str, int]:
    return {word: number for number, word in enumerate(words)}
