"""XNNPACK in our programs: which nodes TensorFlow Lite's delegate hands over to it, and what these need."""
