"""What a build leaves in its output folder: one module for each kind of artifact."""
