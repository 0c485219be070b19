"""Estimates seconds per megapixel-step from measured batches. Pure."""

NEWEST_WEIGHT = 0.2  # weight of the newest measurement in the moving average


class SpeedEstimate:
    """Seconds per megapixel-step by model, as a moving average over the batches of the model."""

    def __init__(self) -> None:
        self.by_model: dict[str, float] = {}
        self._last_model = ""

    def add_measurement(self, model: str, cost: float, seconds: float) -> None:
        """Add a batch of `cost` megapixel-steps that took `seconds`; ignored unless both are positive."""
        if cost <= 0 or seconds <= 0:
            return
        now = seconds / cost
        before = self.by_model.get(model, now)
        self.by_model[model] = before + NEWEST_WEIGHT * (now - before)
        self._last_model = model

    @property
    def typical(self) -> float | None:
        """Seconds per megapixel-step of the last used model; None if nothing was measured yet."""
        return self.by_model.get(self._last_model)
