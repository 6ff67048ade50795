"""litesmith: the smallest TensorFlow Lite program that runs a given model on a given board."""

__version__ = "0.1.0"
