"""The front of every HTTP service: who may ask, how it listens, how errors answer. Layer: gateway.

The page with its API and MCP over HTTP pass requests through it. It knows no route.
"""
