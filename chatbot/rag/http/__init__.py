"""HTTP to models and to fetched documents: pool, deadlines, allowed addresses."""
