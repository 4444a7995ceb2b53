"""Everything that crosses a privilege line: message, peer, verbs, and the vault's client."""
