"""An encoder, a captioner and a provider for Relook, small enough to copy."""
