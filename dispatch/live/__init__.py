"""The present: what Redis holds and can lose: newest positions, tracks, resumable events, counters, and the bus."""
