"""Image files to arrays and back: decoding, DICOM, hair removal, mask operations."""
