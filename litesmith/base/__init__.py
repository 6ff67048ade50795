"""What every package may use: errors, the console, paths, files, outside programs, YAML files."""
