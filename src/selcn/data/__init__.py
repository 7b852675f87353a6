"""Images, masks and labels: catalog, sources, splits, store, augmentation, datasets."""
