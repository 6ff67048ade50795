"""Converts one model with TensorFlow's converter: ``python -m litesmith.workflow.convert.worker TASK.json``.

The package runs under the interpreter that has TensorFlow, from a copy (see
:mod:`litesmith.workflow.convert.converter_process`).  Its modules import each other, NumPy, Keras and
TensorFlow, and nothing else of litesmith.

A model is read (:mod:`keras_model`, :mod:`saved_model`, :mod:`frozen_graph`) into a :class:`~source.Source`,
traced and frozen with fixed shapes (:mod:`freezing`), converted and quantised (:mod:`quantisation`), and
compared with the original (:mod:`comparison`).  Every model becomes one function with named inputs and
outputs, however it was saved; a batch of one needs fewer ops than a batch of unknown size.
"""
