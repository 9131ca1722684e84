"""How what runs comes to its end: on request, together with what works for it, or because its owner is gone."""
