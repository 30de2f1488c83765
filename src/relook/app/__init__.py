"""The composition root: names become objects here, and nowhere else. Layer: app."""
