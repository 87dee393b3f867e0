"""The append-only text of running turns. What comes in two kinds has its port and both kinds side by side here."""
