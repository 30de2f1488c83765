"""More than one machine: collections of Milvus for several servers, workers of Ray.

Layer: cluster.

Nothing below imports this room; `library.collection` and `app.clusters` open it by name.
"""
