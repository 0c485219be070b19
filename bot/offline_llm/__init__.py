"""The built-in chat model: rules, no key. It answers the same transcript with the same words."""

from bot.offline_llm.model import OfflineModel, answer

__all__ = ["OfflineModel", "answer"]
