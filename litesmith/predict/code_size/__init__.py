"""The size of a program from the measured costs of its parts; nothing is compiled."""
