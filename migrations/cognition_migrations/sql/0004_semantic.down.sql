DROP TABLE semantic_block, semantic_label, semantic_pair, semantic_vector;

-- Its rows have no use without the column, and would stand in the way of the next upgrade.
TRUNCATE llm_semantic_cache;
ALTER TABLE llm_semantic_cache ALTER COLUMN embedding SET STORAGE EXTERNAL;
ALTER TABLE llm_semantic_cache ALTER COLUMN scope_key RESET (n_distinct);
ALTER TABLE llm_semantic_cache DROP COLUMN prompt_hash;

DROP INDEX ix_llm_cache_origin;
ALTER TABLE llm_cache DROP COLUMN origin_key;
