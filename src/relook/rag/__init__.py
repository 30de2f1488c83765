"""Ask: evidence about a picture, and an answer that cites it. Layer: rag."""
