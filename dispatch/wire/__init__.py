"""The hub's sockets: Tornado shakes hands, then a lean protocol of our own carries the frames."""
