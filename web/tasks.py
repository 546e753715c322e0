"""The periodic work of the overview, run by the workers."""

from __future__ import annotations

from hlcopy.periodic import periodic
from web import watching


@periodic(seconds=10)
def watch_numbers() -> dict[str, object]:
    """Take a sample of the numbers, and record which alerts rise and clear."""
    content = watching.watch()
    return {"alerts": [alert["code"] for alert in content.get("alerts", [])]}
