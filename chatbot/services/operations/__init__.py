"""Retention, backup and readiness."""
