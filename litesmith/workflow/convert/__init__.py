"""From Keras, SavedModel or a frozen graph to a ``.tflite`` file that the pinned runtime can run."""
