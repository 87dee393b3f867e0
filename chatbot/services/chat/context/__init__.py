"""Earlier turns in a prompt: the newest, a summary of the older ones, and the best of them."""
