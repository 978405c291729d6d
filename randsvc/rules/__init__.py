"""What Prometheus records and alerts on, as data: golden signals, objectives, drift, feedback."""
