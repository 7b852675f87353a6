"""An HTTP server and a web page for bundles."""
