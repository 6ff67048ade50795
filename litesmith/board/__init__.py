"""Programs on boards: deployment, and virtual boards to try it on."""
