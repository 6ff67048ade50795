"""Engines, which run a model's graph in a program: one package for each."""
