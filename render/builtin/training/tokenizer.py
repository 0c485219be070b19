"""The built-in picture model's tokenizer: one token a word, made from the vocabulary of the scenes."""

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from render.builtin.training.scenes import vocabulary

VOCABULARY_SIZE = 128  # leaves room for words to come
MAX_WORDS = 20


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A lower-casing word tokenizer; words that no scene holds become `[UNK]`."""
    words = ["[PAD]", "[UNK]", *vocabulary()]
    if len(words) > VOCABULARY_SIZE:
        raise ValueError(f"{len(words)} words do not fit into {VOCABULARY_SIZE}")
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=MAX_WORDS
    )
