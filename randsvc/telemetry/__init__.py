"""Everything that touches OpenTelemetry; no other package imports the SDK."""
