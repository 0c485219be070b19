"""The turns of all threads: from a message, command or button press to the final reply."""
