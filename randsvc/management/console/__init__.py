"""The page on the management port: what the service measures, live, and a button for each fault."""

from randsvc.management.console.routes import Console, add_console

__all__ = ("Console", "add_console")
