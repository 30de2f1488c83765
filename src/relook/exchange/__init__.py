"""Libraries to and from other programs' files: FAISS, Parquet, NumPy, WebDataset. Layer: exchange.

Everything streams: no function holds the vectors or paths of a whole library in memory.
"""
