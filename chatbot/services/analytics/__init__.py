"""Analytics: reports from the ledger."""
