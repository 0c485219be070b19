"""An engine for the render queue that renders with an OpenAI-compatible images API."""
