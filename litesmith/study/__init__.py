"""Measurements for documentation and maintenance, and what is derived from the pinned sources."""
