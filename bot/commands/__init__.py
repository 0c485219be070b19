"""The slash commands, and the files they make of a thread: contact sheet and export."""
