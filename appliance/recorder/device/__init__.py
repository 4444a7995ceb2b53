"""What is plugged in: sound cards and GPIO. Each outside library has one file here."""
