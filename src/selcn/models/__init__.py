"""The networks of a cascade: pure modules that take images in [0, 1] and return logits."""
