"""The recovery key: words on paper that open the recordings when the box's TPM is lost."""
