DROP FUNCTION calculate_cache_hit_rate(text, interval, text);
DROP FUNCTION calculate_cache_hit_rate_v1(text, interval, text);
DROP TABLE single_flight_lease;
DROP TABLE llm_cache_stats;
DROP TABLE llm_semantic_cache;
DROP TABLE llm_cache;
DROP TABLE cache_namespace;
