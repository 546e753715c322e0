"""The OpenAPI document: what every route takes and gives, with the examples of docs/api.md."""

from __future__ import annotations
