"""armwise inside other gateways. Each file needs the one that it is for, and is imported by its users alone."""
