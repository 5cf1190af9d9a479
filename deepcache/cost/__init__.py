"""What a sample costs: MACs, time, memory."""
