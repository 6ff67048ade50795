"""What a model needs from a board, and whether the board has it, before anything is built.

``latency`` turns multiply-accumulates into time, ``limits`` are what a user asks for, ``budget`` compares
needs with them, ``plans`` does all of this for a model and ``menu`` for a family of models.
"""
