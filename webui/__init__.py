"""The web page: turns HTTP into questions to the vault. It holds no key, no account and no recording."""
