"""The ways through all stages: build and verify, deploy, convert."""
