"""`burnline cost`: what tokens and accelerators cost, what an objective would cost, and what was rated, rated anew."""
