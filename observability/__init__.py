"""What watches the service: configurations, what generates them, and a stack to run them."""
