"""The simulated exchange: its books, its protocol, its faults."""
