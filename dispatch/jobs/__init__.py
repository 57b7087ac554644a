"""The loops of the background processes: relay, due jobs, payments, sweeps, and the planner."""
