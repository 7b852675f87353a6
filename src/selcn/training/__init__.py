"""Training the three stages, and the whole cascade as resumable steps."""
