"""From a request to a linked program."""
