"""The management port: health, /metrics, the fault API and the console."""
