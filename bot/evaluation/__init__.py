"""How well a chat model decides when to draw, and what drawing costs its other abilities. Nothing is painted."""

from bot.evaluation.runner import evaluate

__all__ = ["evaluate"]
