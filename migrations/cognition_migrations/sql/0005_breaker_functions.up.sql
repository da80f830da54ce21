-- Who saw failures or slow calls in the window; two names are evidence enough, no more are kept.
ALTER TABLE circuit_breaker_state ADD COLUMN window_workers jsonb NOT NULL DEFAULT '[]';
