"""Public data sets: downloading, checking and unpacking them. Layer: datasets.

Nothing is downloaded unless a person asks for it by name and agrees to the size.
"""
