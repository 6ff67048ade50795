"""Measurements for the README's tables; each module is the command of its name."""
