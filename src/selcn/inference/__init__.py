"""Prediction with a trained cascade: bundles, engines, predictor, results, batches of files."""
