"""What a run is, where its files lie and where each number came from."""
