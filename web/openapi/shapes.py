"""What the routes give, as JSON Schema; docs/api.md says what each field means."""

from __future__ import annotations

from typing import Any

from hlcopy.configuration import PRESETS
from leaderboard.metrics import METRICS, WINDOWS
from traders.models import PositionEvent

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
DECIMAL: Schema = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "description": "a decimal"}
ADDRESS: Schema = {"type": "string", "pattern": "^0x[0-9a-f]{40}$"}
SIZES = {"size_before": DECIMAL, "size_after": DECIMAL}
ANYTHING: Schema = {"type": "object", "additionalProperties": True}


def null_or(schema: Schema) -> Schema:
    """Return the schema of a value that may be unknown."""
    if "type" not in schema or "enum" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema | {"type": [schema["type"], "null"]}


def one_of(*values: str) -> Schema:
    """Return the schema of a word."""
    return {"type": "string", "enum": list(values)}


def many(schema: Schema) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": schema}


def named(schema: Schema) -> Schema:
    """Return the schema of an object whose keys are names."""
    return {"type": "object", "additionalProperties": schema}


def record(**fields: Schema) -> Schema:
    """Return the schema of an object that always has exactly these fields."""
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def like(example: Any) -> Schema:
    """Return the schema of what looks like the example, each part of which may be unknown."""
    match example:
        case bool():
            return null_or(FLAG)
        case int() | float():
            return null_or(NUMBER)
        case str():
            return null_or(TEXT)
        case list():
            return null_or(many(like(example[0]) if example else {}))
        case dict():
            fields = {name: like(value) for name, value in example.items()}
            return {"type": ["object", "null"], "properties": fields}
        case _:
            return {}


def ref(name: str) -> Schema:
    """Return the reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def page(item: Schema, **more: Schema) -> Schema:
    """Return the schema of a list."""
    url = null_or(TEXT | {"format": "uri"})
    neighbours = {"count": null_or(WHOLE), "next": url, "previous": url}
    return record(**neighbours, **more, results=many(item))


def metric(kind: str) -> Schema:
    """Return the schema of a metric, which may be unknown."""
    return null_or({"count": WHOLE, "flag": FLAG}.get(kind, DECIMAL))


CATALOGUE = {name: metric(each.kind) for name, each in METRICS.items()}
HEAD = {
    "preset": one_of(*PRESETS),
    "window": one_of(*WINDOWS),
    "weights": null_or(named(DECIMAL)),
    "weights_hash": null_or(TEXT),
    "updated_at": null_or(MOMENT),
    "generation": null_or(WHOLE),
}
TRADER = {
    "first_seen_at": MOMENT,
    "last_tracked_at": null_or(MOMENT),
    "account_value": null_or(DECIMAL),
}
SHAPES: dict[str, Schema] = {
    "Error": record(error=record(code=TEXT, message=TEXT)),
    "Root": record(**dict.fromkeys(("message", "traders", "events", "updates", "health"), TEXT)),
    "Health": record(status=one_of("ok")),
    "Trader": record(id=WHOLE, address=ADDRESS, **TRADER, open_positions=null_or(WHOLE)),
    "TraderPage": page(ref("Trader")),
    "Position": record(
        coin=TEXT,
        size=null_or(DECIMAL),
        side=null_or(one_of("LONG", "SHORT")),
        entry_price=null_or(DECIMAL),
        notional=null_or(DECIMAL),
        unrealised_pnl=null_or(DECIMAL),
        leverage=null_or(WHOLE),
        known=FLAG,
        stale=FLAG,
        as_of=null_or(MOMENT),
    ),
    "Component": record(
        **dict.fromkeys(("value", "normalised", "weight", "contribution"), null_or(DECIMAL))
    ),
    "Score": record(
        trader_score=DECIMAL,
        rank=WHOLE,
        missing=many(TEXT),
        components=named(ref("Component")),
        of=WHOLE,
        **HEAD,
    ),
    "TraderDetail": record(
        address=ADDRESS,
        **TRADER,
        complete_as_of=null_or(MOMENT),
        positions=many(ref("Position")),
        score=null_or(ref("Score")),
    ),
    "Event": record(
        id=WHOLE,
        trader_id=WHOLE,
        trader_address=ADDRESS,
        timestamp=MOMENT,
        event_type=one_of(*PositionEvent.Kind.values),
        coin=TEXT,
        side=one_of(*PositionEvent.Side.values),
        **SIZES,
        price=null_or(DECIMAL),
        notional=null_or(DECIMAL),
        source=one_of(*PositionEvent.Source.values),
        stale=FLAG,
        replayed=FLAG,
        exchange_time_ms=WHOLE,
        details=ANYTHING,
    ),
    "EventPage": page(ref("Event")),
    "EventLog": page(ref("Event"), oldest=WHOLE, upto=WHOLE),
    "EquityPoint": record(
        at=MOMENT,
        account_value=null_or(DECIMAL),
        total_notional=DECIMAL,
        margin_used=DECIMAL,
        open_positions=WHOLE,
    ),
    "EquityPage": page(ref("EquityPoint")),
    "BoardRow": record(
        rank=WHOLE,
        trader_id=WHOLE,
        address=ADDRESS,
        trader_score=DECIMAL,
        **CATALOGUE,
        age_is_lower_bound=FLAG,
        tracking_since=MOMENT,
        coverage=null_or(DECIMAL),
        missing=many(TEXT),
        components=named(ref("Component")),
        open_positions=null_or(WHOLE),
        last_event_at=null_or(MOMENT),
        updated_at=MOMENT,
    ),
    "Board": page(ref("BoardRow"), **HEAD),
    "LegacyBoard": many(ref("BoardRow")),
    "TraderMetrics": record(
        address=ADDRESS,
        preset=one_of(*PRESETS),
        unranked=null_or(TEXT),
        windows=record(**dict.fromkeys(WINDOWS, null_or(ref("BoardRow")))),
    ),
    "Cleared": record(message=TEXT, cleared=WHOLE),
}
