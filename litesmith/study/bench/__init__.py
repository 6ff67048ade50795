"""Measurements: the commands ``bench.*``, and the measured costs that estimates of code size use.

A command has a module of its name (``bench.board``: ``on_board``, ``bench.pruning``: ``pruning_steps``).
They share the ways to measure in ``timing``, ``instruction_count``, ``profiling``, ``ruy_kernels`` and
``execution``.  ``builtin_costs``, ``xnnpack_costs`` and ``programs`` measure costs.
"""
