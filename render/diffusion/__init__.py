"""Image models that run on diffusers; beside the built-in model, the only code that imports torch."""
