"""Files: whole or not at all, text tables, resumable work."""
