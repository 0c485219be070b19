"""How long a megapixel-step takes, by what was measured. Pure."""

SHARE = 0.2  # of the newest measurement in the average


class Pace:
    """Seconds per megapixel-step of each model, as a moving average over its batches."""

    def __init__(self) -> None:
        self.by_model: dict[str, float] = {}
        self._newest = ""

    def measured(self, model: str, cost: float, seconds: float) -> None:
        """A batch of `cost` megapixel-steps took so long."""
        if cost <= 0 or seconds <= 0:
            return
        now = seconds / cost
        before = self.by_model.get(model, now)
        self.by_model[model] = before + SHARE * (now - before)
        self._newest = model

    @property
    def typical(self) -> float | None:
        """That of the model that was used last; None where nothing was measured yet."""
        return self.by_model.get(self._newest)
