"""Health, version, strategies. Layer: server."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

import relook
from relook.feedback.strategies import DEFAULT, STRATEGIES
from relook.server import models

__all__ = ["router"]

router = APIRouter(tags=["server"])


@router.get("/health", response_model=models.Status)
async def health() -> dict[str, str]:
    """Whether the server answers. Needs no token."""
    return {"status": "ok"}


@router.get("/version", response_model=models.Version)
async def version() -> dict[str, str]:
    """Which Relook this is."""
    return {"version": relook.__version__, "api": "v1"}


@router.get("/strategies", response_model=models.Strategies)
async def strategies() -> dict[str, Any]:
    """The ways of using judgements."""
    rows = [{"name": row.name, "summary": row.summary} for row in STRATEGIES.values()]
    return {"default": DEFAULT, "strategies": rows}
