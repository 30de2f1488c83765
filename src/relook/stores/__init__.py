"""Stores: nearest-vector search over rows. Layer: stores.

`ExactStore` compares with every row; `FaissStore` asks an index and scores its shortlist
again exactly. `relook.testing` has the checks that each passes. FAISS takes a tenth of a
second to import, so `FaissStore` is imported from its own module by whoever needs it.
"""

from relook.stores.base import Store, VectorSource
from relook.stores.exact import ExactStore

__all__ = ["ExactStore", "Store", "VectorSource"]
