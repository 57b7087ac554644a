"""The hub's protocol, pure: frames, connections, topics, send queues, resuming. No socket, no Redis, no clock."""
