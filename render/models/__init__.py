"""Image models without torch: presets, what a pipeline can do, edit plans, batches and image files."""
