"""What the HTTP API takes and gives: query parameters, traders, positions."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from hlcopy.decimals import plain
from traders.models import PositionEvent
from traders.reading import ORDERINGS

MAX_LIMIT = 500
MAX_POINTS = 500
MAX_OFFSET = 100_000
MAX_ID = 2**63 - 1
EARLIEST, LATEST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
# A trader's number or address, as JSON Schema.
TRADER = {"type": "string", "pattern": "^([0-9]{1,18}|0[xX][0-9a-fA-F]{40})$"}
PREFIX = re.compile(r"(0x)?[0-9a-f]{0,40}", re.ASCII)


class Query(serializers.Serializer[Any]):
    """Parameters of a list; an unknown name is refused, a typo never means "no filter"."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse unknown names, naming those that are known."""
        unknown = sorted(set(data) - set(self.fields))
        if unknown:
            known = ", ".join(self.fields)
            refusal = f"unknown parameter {unknown[0][:40]!r}; known: {known or 'none'}"
            raise serializers.ValidationError({"non_field_errors": [refusal]})
        return super().to_internal_value(data)


def checked(query: type[Query], request: Request) -> dict[str, Any]:
    """Return the request's parameters, checked; raises ValidationError (400).

    A plain dict: of a form DRF would take an empty value for none, and "no filter" is no answer.
    """
    for name, given in request.query_params.lists():
        if len(given) > 1:
            raise serializers.ValidationError({name[:40]: "give it once."})
    serializer = query(data=request.query_params.dict())
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values


class ChoiceField(serializers.ChoiceField):
    """A choice whose error names the choices."""

    default_error_messages: ClassVar = {"invalid_choice": "{input!r} is not one of {allowed}."}

    def fail(self, key: str, **details: Any) -> Any:
        """Add the choices to the error."""
        super().fail(key, **details, allowed=", ".join(str(choice) for choice in self.choices))


@extend_schema_field(TRADER)
class TraderField(serializers.CharField):
    """A trader's number or address."""

    def to_internal_value(self, data: Any) -> str:
        """Return the text in its one spelling, or refuse it."""
        text = super().to_internal_value(data).lower()
        if trader_filter(text) is None:
            raise serializers.ValidationError("give a trader's number, or 0x and 40 hex digits.")
        return text


def trader_filter(text: str) -> dict[str, Any] | None:
    """Return the lookup for a trader's number or lower-case address, None if it is neither."""
    if re.fullmatch(r"[0-9]{1,18}", text):
        return {"pk": int(text)}
    if re.fullmatch(r"0x[0-9a-f]{40}", text):
        return {"address": text}
    return None


class NoParameters(Query):
    """Where nothing can be asked."""


class MomentField(serializers.DateTimeField):
    """A time, ISO 8601; without a zone it is UTC."""

    default_error_messages: ClassVar = dict.fromkeys(
        ("range", "overflow"), "give a time between 2020 and 2100."
    )

    def to_internal_value(self, value: Any) -> datetime:
        """Return the aware time; raises ValidationError."""
        moment: datetime = super().to_internal_value(value)
        if not EARLIEST <= moment < LATEST:
            self.fail("range")
        return moment


class TraderQuery(Query):
    """`/traders`."""

    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=100)
    offset = serializers.IntegerField(min_value=0, max_value=MAX_OFFSET, default=0)
    search = serializers.CharField(max_length=42, required=False, allow_blank=True)
    ordering = ChoiceField([*ORDERINGS, *(f"-{name}" for name in ORDERINGS)], default="id")
    min_account_value = serializers.DecimalField(max_digits=38, decimal_places=18, required=False)
    has_positions = ChoiceField(("true", "false"), required=False)
    coin = serializers.CharField(max_length=32, required=False)
    first_seen_from = MomentField(required=False)
    first_seen_to = MomentField(required=False)
    last_tracked_from = MomentField(required=False)
    last_tracked_to = MomentField(required=False)

    def validate_search(self, text: str) -> str:
        """Return the beginning of an address, with 0x; raises ValidationError."""
        text = text.lower()
        if not PREFIX.fullmatch(text):
            raise serializers.ValidationError("give the first hex digits of an address.")
        return text if text.startswith("0x") or not text else f"0x{text}"


class EquityQuery(Query):
    """`/api/v1/traders/{trader}/equity`."""

    to = MomentField(required=False)
    points = serializers.IntegerField(min_value=1, max_value=MAX_POINTS, default=MAX_POINTS)
    dex = serializers.CharField(max_length=16, default="", allow_blank=True)

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which Python cannot declare."""
        return {"from": MomentField(required=False), **super().get_fields()}

    def validate(self, attrs: Any) -> Any:
        """Refuse a time that ends before it begins; raises ValidationError."""
        if "from" in attrs and "to" in attrs and attrs["from"] >= attrs["to"]:
            raise serializers.ValidationError({"from": "must be before `to`."})
        return attrs


class EventQuery(Query):
    """`/traders/{trader}/events`."""

    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, required=False)
    cursor = serializers.CharField(max_length=200, required=False)
    kind = ChoiceField(PositionEvent.Kind.choices, required=False)
    coin = serializers.CharField(max_length=32, required=False)


class LogQuery(Query):
    """`/api/v1/events`."""

    after = serializers.IntegerField(min_value=0, max_value=MAX_ID, default=0)
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=100)
    trader = TraderField(required=False)
    kind = ChoiceField(PositionEvent.Kind.choices, required=False)
    coin = serializers.CharField(max_length=32, required=False)


class PlainDecimal(serializers.Field[Decimal, str, str, Any]):
    """A decimal as a plain string."""

    def to_representation(self, value: Decimal) -> str:
        """Return all digits, no exponent."""
        return plain(value)


class TraderSummarySerializer(serializers.Serializer[Any]):
    """A row of `/traders`; unknown is null."""

    id = serializers.IntegerField()
    address = serializers.CharField()
    first_seen_at = serializers.DateTimeField()
    last_tracked_at = serializers.DateTimeField()
    account_value = PlainDecimal()
    open_positions = serializers.IntegerField()


class EquitySerializer(serializers.Serializer[Any]):
    """One point of an account's history; unknown is null."""

    at = serializers.DateTimeField()
    account_value = PlainDecimal()
    total_notional = PlainDecimal()
    margin_used = PlainDecimal()
    open_positions = serializers.IntegerField()


class PositionSerializer(serializers.Serializer[Any]):
    """One position; its size is signed, unknown is null."""

    coin = serializers.CharField()
    size = PlainDecimal()
    side = serializers.CharField()
    entry_price = PlainDecimal()
    notional = PlainDecimal()
    unrealised_pnl = PlainDecimal()
    leverage = serializers.IntegerField()
    known = serializers.BooleanField()
    stale = serializers.BooleanField()
    as_of = serializers.DateTimeField()
