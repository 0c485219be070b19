"""The parser that turns the chat model's answer into text and image requests, and the intent of a user's message."""
