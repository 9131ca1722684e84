"""Tasks on their way in: who can make them is asked, boards are found for their nodes, and what was made can be simulated again."""
