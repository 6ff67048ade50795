"""TensorFlow Lite's sources: pins, edits, the op registry, and the selection of what a model needs."""
