"""`burnline forecast`: load, tokens, cost and budgets from minutes to a week ahead, by models that proved good."""
