"""The core of the bot: conversations with image requests. It depends on no platform and on no GPU."""
