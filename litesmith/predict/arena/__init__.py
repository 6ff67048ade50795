"""The memory of a model's tensors, before anything is built: what the runtime will allocate, byte for byte.

``prediction`` is the way in.  ``graph`` is what the interpreter holds, ``shapes``, ``values`` and ``scratch``
what each kernel does to it, ``interpreter`` the order in which that happens, ``layout`` and ``ordering``
how the arenas are filled, ``padding`` the windows of convolutions and pools.
"""
