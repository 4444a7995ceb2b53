"""The part that holds the keys: TPM, ring, catalogue, accounts, retention. It talks to no network."""
