"""`benchwire session`: any command as a session of the lab, and what there is to say about sessions."""
