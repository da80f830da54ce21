-- The steps that the functions of the circuit breaker share. They do what cognition/resilience/circuit_breaker.py does;
-- one contract suite holds both to it.
--
-- breaker  {"key", "provider", "model", "scope"}
-- policy   the numbers of a BreakerPolicy, times in seconds

-- Return a breaker's row, locked until the transaction ends; a new one where there is none.
CREATE FUNCTION breaker_lock_v1(for_tenant text, breaker jsonb) RETURNS circuit_breaker_state
LANGUAGE plpgsql AS $$
DECLARE
    s circuit_breaker_state;
BEGIN
    SELECT c.* INTO s FROM circuit_breaker_state AS c
    WHERE c.tenant = for_tenant AND c.breaker_key = breaker ->> 'key' FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO circuit_breaker_state (tenant, breaker_key, provider, model, credential_scope)
        VALUES (for_tenant, breaker ->> 'key', breaker ->> 'provider', breaker ->> 'model', breaker ->> 'scope')
        ON CONFLICT DO NOTHING;
        SELECT c.* INTO s FROM circuit_breaker_state AS c
        WHERE c.tenant = for_tenant AND c.breaker_key = breaker ->> 'key' FOR UPDATE;
    END IF;
    RETURN s;
END $$;

-- Write a row back, but for its identity.
CREATE FUNCTION breaker_save_v1(s circuit_breaker_state, moment timestamptz) RETURNS void
LANGUAGE sql AS $$
    UPDATE circuit_breaker_state SET
        state = s.state,
        generation = s.generation,
        consecutive_failures = s.consecutive_failures,
        failures_by_worker = s.failures_by_worker,
        half_open_successes = s.half_open_successes,
        consecutive_opens = s.consecutive_opens,
        opened_at = s.opened_at,
        open_until = s.open_until,
        window_started_at = s.window_started_at,
        window_calls = s.window_calls,
        window_failures = s.window_failures,
        window_slow_calls = s.window_slow_calls,
        window_workers = s.window_workers,
        cooldown_until = s.cooldown_until,
        cooldown_reason = s.cooldown_reason,
        forced_by = s.forced_by,
        forced_reason = s.forced_reason,
        forced_at = s.forced_at,
        total_successes = s.total_successes,
        total_failures = s.total_failures,
        total_rejections = s.total_rejections,
        total_outdated = s.total_outdated,
        last_failure = s.last_failure,
        last_failure_at = s.last_failure_at,
        updated_at = moment
    WHERE tenant = s.tenant AND breaker_key = s.breaker_key;
$$;

-- A breaker for callers: its row, the time, and the permits whose lease has not ended.
CREATE FUNCTION breaker_standing_v1(s circuit_breaker_state, moment timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT to_jsonb(s) || jsonb_build_object(
        'as_of', moment,
        'permits', coalesce((
            SELECT jsonb_agg(to_jsonb(p) ORDER BY p.slot)
            FROM circuit_breaker_permits AS p
            WHERE p.tenant = s.tenant AND p.breaker_key = s.breaker_key AND p.lease_until > moment
        ), '[]')
    );
$$;

-- What every function answers: how the breaker stands, and the transition if its generation has changed.
CREATE FUNCTION breaker_answer_v1(s circuit_breaker_state, generation_before bigint, moment timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'standing', breaker_standing_v1(s, moment),
        'transition', (
            SELECT to_jsonb(h) FROM circuit_breaker_history AS h
            WHERE h.tenant = s.tenant AND h.breaker_key = s.breaker_key AND h.generation = s.generation
                AND s.generation > generation_before
        )
    );
$$;

-- Go to another state: a new generation, no permits, a row of history. The row is returned, not written.
--
-- about  {"cause", "worker", "actor", "reason"}
CREATE FUNCTION breaker_move_v1(
    s circuit_breaker_state, to_state text, about jsonb, open_until timestamptz, moment timestamptz
) RETURNS circuit_breaker_state
LANGUAGE plpgsql AS $$
DECLARE
    is_forced boolean := to_state IN ('forced_open', 'disabled', 'metrics_only');
BEGIN
    DELETE FROM circuit_breaker_permits AS p WHERE p.tenant = s.tenant AND p.breaker_key = s.breaker_key;
    INSERT INTO circuit_breaker_history (
        tenant, breaker_key, generation, from_state, to_state, cause, worker, actor, reason, consecutive_failures,
        open_until, created_at
    ) VALUES (
        s.tenant, s.breaker_key, s.generation + 1, s.state, to_state, about ->> 'cause', about ->> 'worker',
        about ->> 'actor', about ->> 'reason', s.consecutive_failures, breaker_move_v1.open_until, moment
    );
    s.state := to_state;
    s.generation := s.generation + 1;
    s.half_open_successes := 0;
    s.open_until := breaker_move_v1.open_until;
    s.window_started_at := NULL;
    s.window_calls := 0;
    s.window_failures := 0;
    s.window_slow_calls := 0;
    s.window_workers := '[]';
    s.forced_by := CASE WHEN is_forced THEN about ->> 'actor' END;
    s.forced_reason := CASE WHEN is_forced THEN about ->> 'reason' END;
    s.forced_at := CASE WHEN is_forced THEN moment END;
    IF to_state = 'open' THEN
        s.consecutive_opens := s.consecutive_opens + 1;
        s.opened_at := moment;
    ELSIF to_state <> 'half_open' THEN
        s.consecutive_failures := 0;
        s.failures_by_worker := '{}';
        s.consecutive_opens := 0;
        s.opened_at := NULL;
    END IF;
    RETURN s;
END $$;

-- Open for a time that doubles with each opening in a row, lengthened at random, or for as long as the provider asks.
CREATE FUNCTION breaker_open_v1(
    s circuit_breaker_state, policy jsonb, result jsonb, cause text, moment timestamptz
) RETURNS circuit_breaker_state
LANGUAGE plpgsql AS $$
DECLARE
    plain float8 := (policy ->> 'open_for')::float8 * power(2::float8, least(s.consecutive_opens, 32));
    jittered float8 := plain * (1 + (policy ->> 'open_jitter')::float8 * random());
    seconds float8 := greatest(
        least(jittered, (policy ->> 'max_open')::float8), coalesce((result ->> 'retry_after')::float8, 0)
    );
BEGIN
    RETURN breaker_move_v1(
        s,
        'open',
        jsonb_build_object('cause', cause, 'worker', result ->> 'worker', 'reason', result ->> 'error'),
        moment + make_interval(secs => seconds),
        moment
    );
END $$;

-- Why a breaker must open, or NULL; what a single worker saw must weigh more.
CREATE FUNCTION breaker_cause_to_open_v1(s circuit_breaker_state, policy jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN s.consecutive_failures >= (policy ->> 'failure_threshold')::integer * CASE
            WHEN (SELECT count(*) FROM jsonb_object_keys(s.failures_by_worker)) >= 2 THEN 1
            ELSE (policy ->> 'lone_worker_factor')::integer
        END THEN 'threshold'
        WHEN s.window_calls < (policy ->> 'minimum_calls')::integer * CASE
            WHEN jsonb_array_length(s.window_workers) >= 2 THEN 1
            ELSE (policy ->> 'lone_worker_factor')::integer
        END THEN NULL
        WHEN s.window_failures >= (policy ->> 'failure_rate')::float8 * s.window_calls THEN 'failure rate'
        WHEN s.window_slow_calls >= (policy ->> 'slow_call_rate')::float8 * s.window_calls THEN 'slow calls'
    END;
$$;
