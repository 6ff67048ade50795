"""What a model will ask of a board, before anything is built."""
