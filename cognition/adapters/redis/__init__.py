"""The L1 layer and its leases, on Redis or Valkey."""
