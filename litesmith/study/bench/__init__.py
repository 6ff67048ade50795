"""Measurements: the commands ``bench.*``.

A command has a module of its name (``bench.board``: ``on_board``, ``bench.pruning``: ``pruning_steps``).
They share the ways to measure in ``timing``, ``instruction_count``, ``profiling``, ``ruy_kernels`` and
``execution``.
"""
