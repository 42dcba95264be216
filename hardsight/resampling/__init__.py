"""Which models train on which samples: splitters, plans and budgets."""
