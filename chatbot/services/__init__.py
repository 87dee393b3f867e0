"""Use cases. They own the transaction, take and give plain values, and speak no HTTP."""
