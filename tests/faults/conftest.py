"""Parts of the integration tests that the tests of faults use, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "integration"))
