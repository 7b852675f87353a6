"""Prepared images and masks as memory-mapped arrays."""
