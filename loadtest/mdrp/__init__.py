"""Instances of the public Meal Delivery Routing Problem, played minute by minute through the shipping optimizer."""
