"""``python -m benchwire.agent``."""

from benchwire.agent.main import main

main()
