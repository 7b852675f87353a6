"""Saliency of a whole data set, and how good it is."""
