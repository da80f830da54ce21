-- Set the state that a person orders, for all processes; 'closed' resets everything but the totals.
CREATE FUNCTION breaker_force_v1(for_tenant text, breaker jsonb, to_state text, actor text, reason text)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    s circuit_breaker_state := breaker_lock_v1(for_tenant, breaker);
    moment timestamptz := clock_timestamp();
    generation_before bigint := s.generation;
    cause text := CASE to_state WHEN 'closed' THEN 'reset' ELSE 'forced' END;
BEGIN
    s := breaker_move_v1(
        s, to_state, jsonb_build_object('cause', cause, 'actor', actor, 'reason', reason), NULL, moment
    );
    IF to_state = 'closed' THEN
        s.cooldown_until := NULL;
        s.cooldown_reason := NULL;
    END IF;
    PERFORM breaker_save_v1(s, moment);
    RETURN breaker_answer_v1(s, generation_before, moment);
END $$;

-- Let nobody call for a while; a longer time that was agreed before stays. Neutral for the state.
CREATE FUNCTION breaker_cool_down_v1(for_tenant text, breaker jsonb, duration interval, reason text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    s circuit_breaker_state := breaker_lock_v1(for_tenant, breaker);
    moment timestamptz := clock_timestamp();
BEGIN
    IF s.cooldown_until IS NULL OR s.cooldown_until < moment + duration THEN
        s.cooldown_until := moment + duration;
        s.cooldown_reason := reason;
        PERFORM breaker_save_v1(s, moment);
    END IF;
    RETURN breaker_answer_v1(s, s.generation, moment);
END $$;
