"""Shared by all packages: errors, the console, paths, files, external programs, YAML files."""
