"""Converts Keras models, SavedModels and frozen graphs to ``.tflite`` files for the pinned runtime."""
