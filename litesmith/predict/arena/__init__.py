"""The memory of a model's tensors: what the runtime will allocate, byte for byte, before anything is built.

``prediction`` is the entry point.  ``interpreter``, ``subgraph`` and ``control_flow`` prepare and run the
subgraphs, ``kernels`` sizes the outputs and temporaries of each op, ``values`` computes the small tensors
that shapes depend on, ``layout`` fills the arenas, ``unknown`` says why a prediction is not exact.
"""
