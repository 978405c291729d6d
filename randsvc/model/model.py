"""The model that predicts the value.

Monitoring sees it as it sees any model in production: it responds, responds late or fails, and its
output can drift. Each of these happens only through a fault.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from randsvc.faults.faults import Faults

__all__ = ("Model", "ModelDownError")


class ModelDownError(Exception):
    """The model is down."""


class Model:
    """A model that is as good as possible, apart from the effect of the active ``faults``."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._frozen_by: Mapping[str, float] | None = None
        self._frozen = 0.0

    def predict(self, predictable: float) -> float | Coroutine[Any, Any, float]:
        """Return the prediction, or a coroutine that returns it after a while; may raise anything.

        ``predictable`` is the prediction of a healthy model. It is returned directly, so that it
        costs neither a task nor a timer.
        """
        return self._apply_faults(predictable) if self._faults.on else predictable

    def _apply_faults(self, value: float) -> float | Coroutine[Any, Any, float]:
        faults = self._faults
        if faults.get("model-down"):
            raise ModelDownError
        if scale := faults.get("value-scale"):
            value *= scale["factor"]
        if shift := faults.get("value-shift"):
            value += shift["by"]
        if frozen := faults.get("value-frozen"):
            if frozen is not self._frozen_by:
                self._frozen_by, self._frozen = frozen, value
            value = self._frozen
        if slow := faults.get("model-slow"):
            return asyncio.sleep(slow["seconds"], value)
        return value
