"""What a program will need, before it is built: arena, XNNPACK's memory, code size, latency."""
