"""What runs randsvc on more than one machine."""
