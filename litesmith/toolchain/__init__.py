"""Toolchains: compilers and linkers behind one Protocol."""
