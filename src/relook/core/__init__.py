"""Types, errors and safe image decoding that every other layer stands on."""
