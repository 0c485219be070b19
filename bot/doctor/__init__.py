"""The doctor: checks of the configuration, the machine, the servers and the permissions of the bot."""
