"""Evaluates when a chat model requests images, and what that costs its other abilities. Renders nothing."""

from bot.evaluation.runner import evaluate

__all__ = ["evaluate"]
