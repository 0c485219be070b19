"""The web app over a real socket."""
