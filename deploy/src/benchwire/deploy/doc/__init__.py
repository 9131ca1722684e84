"""`benchwire doc`: the document store from the command line."""
