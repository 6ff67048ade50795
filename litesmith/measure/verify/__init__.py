"""The program's outputs beside those of the reference."""
