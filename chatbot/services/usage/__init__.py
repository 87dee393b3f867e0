"""Usage: the ledger of turns, and the prices of models."""
