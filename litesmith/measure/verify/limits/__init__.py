"""How far the outputs of single nodes may be from the reference's, on equal inputs, and why."""
