"""`python -m benchwire.deploy`."""

from benchwire.deploy.main import main

main()
