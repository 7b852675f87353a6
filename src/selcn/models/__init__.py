"""The cascade's three networks: pure modules that take images in [0, 1] and return logits."""
