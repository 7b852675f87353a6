"""Saliency: Grad-CAM++, its registry of methods, maps on disk, faithfulness and controls."""
