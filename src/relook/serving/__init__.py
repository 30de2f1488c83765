"""What the command line, the HTTP API and MCP serve. Layer: serving. It knows no HTTP."""
