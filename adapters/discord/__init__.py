"""Discord: mention the bot, watch it draw, reply to refine."""
