"""The core: a conversation that draws. It knows no platform and no GPU."""
