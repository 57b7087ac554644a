"""What is done beside driving payments: alarms, the webhook, and the clock of daily work."""
