DROP TABLE llm_cost_history;
