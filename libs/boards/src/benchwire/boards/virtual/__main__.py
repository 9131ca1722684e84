"""`python -m benchwire.boards.virtual`."""

import sys

from benchwire.boards.virtual.main import main

sys.exit(main())
