"""The campus dispatch server: orders, runners, live tracking and the money that waits for delivery."""

__version__ = "0.1.0"
