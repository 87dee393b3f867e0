"""The page `/console/` for administrators."""
