"""The built-in picture model: a small diffusion model of simple scenes, trained by this project."""
