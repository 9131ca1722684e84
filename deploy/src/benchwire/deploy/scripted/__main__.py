"""`python -m benchwire.deploy.scripted`."""

from benchwire.deploy.scripted.main import main

main()
