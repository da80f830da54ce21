"""The L2 layer, the ledger and the leases, on PostgreSQL."""
