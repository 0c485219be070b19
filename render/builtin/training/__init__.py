"""Training and evaluation of the built-in image model; the program does not import it."""
