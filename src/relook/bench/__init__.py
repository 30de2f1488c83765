"""Datasets, simulated users, metrics and reports. Layer: bench."""
