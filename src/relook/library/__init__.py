"""One indexed image collection on disk: catalog, vectors, scanning, building. Layer: library."""
