"""``python -m benchwire.observability``."""

from benchwire.observability.main import main

main()
