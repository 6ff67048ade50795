"""What runs a model's graph in a program: one package for each engine."""
