"""Queries and the engine that ranks a library by them. Layer: search."""
