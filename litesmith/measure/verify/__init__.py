"""Verification: a program runs, and its outputs are compared with those of the reference interpreter."""
