"""The built-in chat model: rules in the place of a language model, honestly named, without a key."""

from bot.offline_llm.model import OfflineModel, answer

__all__ = ["OfflineModel", "answer"]
