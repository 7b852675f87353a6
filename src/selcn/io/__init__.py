"""Atomic writes of files, text tables, resumable work."""
