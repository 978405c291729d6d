"""The default password of the users, for the services and for simulated users of every kind.

It imports nothing, as the container of the simulated users has none of the service's packages.
"""

__all__ = ("PASSWORD",)

PASSWORD = "random"  # noqa: S105 - it is known to everybody, and guards random numbers
