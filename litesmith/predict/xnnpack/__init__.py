"""Which nodes TensorFlow Lite's XNNPACK delegate takes, and the memory that it uses for them."""
