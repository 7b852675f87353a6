"""A run folder: its steps, what they need, and how they are carried out."""
