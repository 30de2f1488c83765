"""Stores: nearest-vector search over rows. Layer: stores.

`ExactStore` compares with every row; `FaissStore` asks an index and scores its shortlist
again exactly. `relook.testing` has the checks that each passes.
"""

from relook.stores.base import Store, VectorSource
from relook.stores.exact import ExactStore
from relook.stores.faiss_store import FaissStore

__all__ = ["ExactStore", "FaissStore", "Store", "VectorSource"]
