"""What a ``.tflite`` file contains, and what it is run with."""
