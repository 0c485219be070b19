"""The settings: their values, their rules by scope and role, and the styles."""
