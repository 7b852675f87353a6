"""The tasks, segmentation and classification: network, data, loss, score of each."""
