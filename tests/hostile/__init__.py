"""Damaged models: how they are made, and how programs and commands are tried with thousands of them."""
