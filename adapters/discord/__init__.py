"""The Discord adapter: events and interactions of Discord in, messages with images and buttons out."""
