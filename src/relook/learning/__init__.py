"""Training of what feedback reads with. Layer: learning. Only what needs torch imports it."""
