"""The benchmarks are not installed: they are run from the top of the tree, and found there."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))
