"""The whole line under fire: bot and engine are killed at random while a crowd waits for its pictures."""
