"""Saliency of a whole data set, and its quality."""
