"""Real diffusers pipelines with tiny random weights, and the model that ships."""
