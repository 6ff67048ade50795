"""Compilers behind one Protocol."""
