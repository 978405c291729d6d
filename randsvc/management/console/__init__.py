"""The page on the management port: live metrics of the service, and a button for each fault."""

from randsvc.management.console.routes import Console, add_console

__all__ = ("Console", "add_console")
