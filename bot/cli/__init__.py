"""Commands of the operator on the database: the queue, usage, export, and the replay of recorded answers."""
