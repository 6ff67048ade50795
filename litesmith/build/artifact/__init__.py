"""The artifacts that a build writes into its output folder: one module for each kind."""
