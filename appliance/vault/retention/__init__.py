"""When a call must go, and making it go: verdict (pure), erasure, and the run that joins them."""
