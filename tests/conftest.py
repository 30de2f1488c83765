"""What every test stands on."""

import gc


def pytest_collection_finish() -> None:
    """What the tests have imported stays: collections of garbage need not walk it each time."""
    gc.collect()
    gc.freeze()
