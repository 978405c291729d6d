"""The model that the value comes from: it predicts what can be known of a random number.

It stands for a model in production in what monitoring sees of one: it answers, takes its time or
fails, and its output can drift. None of this happens by itself, only by a fault.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from randsvc.faults.faults import Faults

__all__ = ("Model", "ModelDownError")


class ModelDownError(Exception):
    """The model cannot be asked."""


class Model:
    """A model that predicts all that can be predicted, spoilt by the ``faults`` that are on."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._frozen_by: Mapping[str, float] | None = None
        self._frozen = 0.0

    def predict(self, predictable: float) -> float | Coroutine[Any, Any, float]:
        """The prediction, or where it takes time a coroutine that gives it; may raise anything.

        In good order it is ``predictable``. One that is there at once costs no task and no timer.
        """
        return self._spoilt(predictable) if self._faults.on else predictable

    def _spoilt(self, value: float) -> float | Coroutine[Any, Any, float]:
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
