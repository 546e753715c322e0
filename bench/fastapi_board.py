"""The comparison: FastAPI that answers the board's bytes from Redis, as the classic design."""

from __future__ import annotations

import os

import redis.asyncio
from fastapi import FastAPI, Response

KEY = "bench:leaderboard"
app = FastAPI()
client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])


@app.get("/api/v1/leaderboard")
async def leaderboard() -> Response:
    """Answer the bytes."""
    return Response(await client.get(KEY), media_type="application/json")
