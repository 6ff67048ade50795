"""Measures the costs that :mod:`litesmith.predict.code_size` estimates with: ``./inv estimate.measure``.

``measure`` is the entry point.  ``builtin`` measures TensorFlow Lite's own kernels, ``xnnpack`` those of
XNNPACK: one of the ``atoms`` in each program, whose symbols ``shared_code`` turns into costs.  Both use
``programs``, which builds programs and reads their symbols, and ``report``.
"""
