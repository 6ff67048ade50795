"""Commands from end to end: build and verify, deploy, convert, matrix, demo, doctor."""
