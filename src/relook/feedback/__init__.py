"""What a mark means: pure functions from evidence to a scorer. Layer: feedback.

Imports nothing but `relook.core` and numpy.
"""
