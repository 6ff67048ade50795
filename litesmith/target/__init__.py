"""Target profiles, the instruction sets in them, and the tools that flash boards."""
