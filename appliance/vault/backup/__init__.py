"""A copy of the box elsewhere, and the way back: nothing in it opens without this TPM or the recovery key."""
