"""What the box can prove to somebody who does not trust it: statements signed by its TPM, and how to check them."""
