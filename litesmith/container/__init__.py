"""The Docker engine, and the images in which compilers and virtual boards run."""
