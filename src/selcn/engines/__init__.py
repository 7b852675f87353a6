"""What runs a bundle's networks."""
