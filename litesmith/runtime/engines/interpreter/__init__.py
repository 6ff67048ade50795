"""TensorFlow Lite's interpreter as the engine of a program: its sources, and the generated glue code."""
