"""`/api/v1/cache/clear`: throws the leaderboard's pages away; the next reader has them made."""

from __future__ import annotations

from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leaderboard import cache
from traders.serializers import NoParameters, checked
from web.access import MayOperate


class CacheAwayError(APIException):
    """Redis holds the pages and does not answer."""

    status_code = 503
    default_code = "cache_away"
    default_detail = "the cache does not answer; try again in a few seconds"


class ClearCache(APIView):
    """`GET` and `POST /api/v1/cache/clear`: costs no exchange weight."""

    permission_classes = (MayOperate,)

    def get(self, request: Request) -> Response:
        """Clear, and say how many pages there were."""
        checked(NoParameters, request)
        try:
            cleared = cache.clear()
        except cache.AwayError as away:
            raise CacheAwayError from away
        content = {"message": f"Cleared {cleared} cache entries", "cleared": cleared}
        return Response(content, headers={"Cache-Control": "no-store"})

    post = get

    def head(self, request: Request) -> Response:
        """Do nothing: whoever only looks changes nothing."""
        return Response(headers={"Cache-Control": "no-store"})
