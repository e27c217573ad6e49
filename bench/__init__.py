"""Programs that print the figures of the README. Each says first on which machine and with which versions it ran."""
