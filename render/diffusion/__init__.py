"""Pictures by diffusers; with the built-in model, the only code that imports torch."""
