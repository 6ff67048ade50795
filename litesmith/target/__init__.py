"""What a program is built for: profiles, their instruction sets, and the tools that flash boards."""
