"""What a built program is: where its bytes went, and whether its answers are right."""
