DROP TABLE circuit_breaker_history;
DROP TABLE circuit_breaker_permits;
DROP TABLE circuit_breaker_state;
