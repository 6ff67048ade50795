"""The command line: tasks, and the tables that they print."""
