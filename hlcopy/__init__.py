"""What joins the apps: settings, routes, embedded services, supervisor, scheduler."""

from __future__ import annotations

__version__ = "0.1.0"
