"""Training of one network, resumable, on one or several devices."""
