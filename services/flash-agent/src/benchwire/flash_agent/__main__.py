"""``python -m benchwire.flash_agent``."""

from benchwire.flash_agent.main import main

main()
