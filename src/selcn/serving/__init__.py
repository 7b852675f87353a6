"""An HTTP server and a web page for one bundle."""
