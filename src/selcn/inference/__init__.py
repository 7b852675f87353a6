"""A trained cascade put to work: bundle, predictor, results, many files."""
