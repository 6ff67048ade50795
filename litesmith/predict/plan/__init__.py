"""What a model will ask of a board, before anything is built, and whether the board has it.

``work`` counts multiply-accumulates and parameters, ``latency`` turns them into time, ``budget`` holds needs
against what there is, ``report`` does all of it for a model and ``menu`` for a family; ``plot`` and ``page``
draw.
"""
