"""The shapes that existing clients see. Their field names stand here and nowhere else."""
