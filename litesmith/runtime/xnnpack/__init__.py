"""XNNPACK in a program: what the delegated nodes require of it, and the files that are built for them."""
