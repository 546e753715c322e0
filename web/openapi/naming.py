"""Names of operations: the method and the path, so that no two routes share one."""

from __future__ import annotations

import re

from drf_spectacular.openapi import AutoSchema


class NamedByPath(AutoSchema):
    """Spectacular's own description of a view, but for the name."""

    def get_operation_id(self) -> str:
        """Return such as `get_api_v1_traders_trader`."""
        return name(self.method, self.path)


def name(method: str, path: str) -> str:
    """Return the name of an operation."""
    return "_".join([method.lower(), *re.findall(r"\w+", path)])
