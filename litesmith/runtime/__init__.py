"""TensorFlow Lite's sources: which are pinned, what is changed in them, and what a model needs of them."""
