"""The command line. Layer: cli: one of the few places that print and exit."""
