"""What was done, by whom, in what order: the list of auditable acts and the journal that chains them."""
