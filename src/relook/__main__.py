"""`python -m relook`."""

import sys

from relook.cli.main import main

sys.exit(main())
