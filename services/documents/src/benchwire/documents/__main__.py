"""``python -m benchwire.documents``."""

from benchwire.documents.main import main

main()
