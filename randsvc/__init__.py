"""A service that returns a random number after a random delay, and its monitoring."""

import randsvc.telemetry  # noqa: F401 - before any module that imports OpenTelemetry by itself

__version__ = "0.1.0"
