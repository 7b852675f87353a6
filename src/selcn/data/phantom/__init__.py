"""Synthetic dermoscopy of which everything is known: mask, symmetry, place of the asymmetry, diagnosis."""

from selcn.data.phantom.write import write_phantom

__all__ = ["write_phantom"]
