"""A run: its folder, its steps, what they need, and their execution."""
