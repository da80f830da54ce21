-- Take in how a call ended, and take its permit back.
--
-- result  {"verdict", "generation", "worker", "permit", "slow", "error", "retry_after",
--          "before": {"successes", "rejections", "since_success"}}, times in seconds
--
-- Returns {"standing", "transition", "threshold_reached"}.
CREATE FUNCTION breaker_record_v1(for_tenant text, breaker jsonb, policy jsonb, result jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    s circuit_breaker_state := breaker_lock_v1(for_tenant, breaker);
    -- After the lock: whoever waited for it must not judge by the time at which it began to wait.
    moment timestamptz := clock_timestamp();
    generation_before bigint := s.generation;
    worker text := result ->> 'worker';
    verdict text := result ->> 'verdict';
    is_slow boolean := (result ->> 'slow')::boolean;
    earlier_successes integer := (result #>> '{before,successes}')::integer;
    since_success float8 := (result #>> '{before,since_success}')::float8;
    is_held boolean;
    cause text;
    reached boolean := false;
BEGIN
    s.total_rejections := s.total_rejections + (result #>> '{before,rejections}')::integer;

    IF s.state = 'disabled' THEN
        NULL;
    ELSIF (result ->> 'generation')::bigint <> s.generation OR s.state IN ('open', 'forced_open') THEN
        s.total_outdated := s.total_outdated + (verdict <> 'ignored')::integer;
    ELSIF s.state = 'half_open' THEN
        DELETE FROM circuit_breaker_permits AS p
        WHERE p.tenant = s.tenant AND p.breaker_key = s.breaker_key AND p.permit = (result ->> 'permit')::uuid
        RETURNING p.lease_until > moment INTO is_held;
        IF verdict = 'ignored' THEN
            NULL;
        ELSIF is_held IS NOT TRUE THEN
            s.total_outdated := s.total_outdated + 1;
        ELSIF verdict = 'failure' OR (is_slow AND policy ->> 'slow_call_rate' IS NOT NULL) THEN
            s.total_failures := s.total_failures + 1;
            s.consecutive_failures := s.consecutive_failures + 1;
            s.failures_by_worker := s.failures_by_worker || jsonb_build_object(
                worker, coalesce((s.failures_by_worker ->> worker)::integer, 0) + 1
            );
            s.last_failure := result ->> 'error';
            s.last_failure_at := moment;
            s := breaker_open_v1(s, policy, result, 'probe', moment);
        ELSE
            s.total_successes := s.total_successes + 1;
            s.half_open_successes := s.half_open_successes + 1;
            IF s.half_open_successes >= (policy ->> 'success_threshold')::integer THEN
                s := breaker_move_v1(
                    s, 'closed', jsonb_build_object('cause', 'probes', 'worker', worker), NULL, moment
                );
            END IF;
        END IF;
    ELSE
        -- First what the worker had counted for itself: a success after the last failure ends the run of failures.
        IF s.window_started_at IS NULL
            OR moment >= s.window_started_at + make_interval(secs => (policy ->> 'window')::float8)
        THEN
            s.window_started_at := moment;
            s.window_calls := 0;
            s.window_failures := 0;
            s.window_slow_calls := 0;
            s.window_workers := '[]';
        END IF;
        s.window_calls := s.window_calls + earlier_successes;
        s.total_successes := s.total_successes + earlier_successes;
        IF verdict = 'success' OR moment - make_interval(secs => since_success) > s.last_failure_at THEN
            s.consecutive_failures := 0;
            s.failures_by_worker := '{}';
        END IF;

        IF verdict <> 'ignored' THEN
            s.window_calls := s.window_calls + 1;
            s.window_slow_calls := s.window_slow_calls + is_slow::integer;
            IF verdict = 'failure' THEN
                s.window_failures := s.window_failures + 1;
                s.total_failures := s.total_failures + 1;
                s.consecutive_failures := s.consecutive_failures + 1;
                s.failures_by_worker := s.failures_by_worker || jsonb_build_object(
                    worker, coalesce((s.failures_by_worker ->> worker)::integer, 0) + 1
                );
                s.last_failure := result ->> 'error';
                s.last_failure_at := moment;
            ELSE
                s.total_successes := s.total_successes + 1;
            END IF;
            IF (verdict = 'failure' OR is_slow)
                AND NOT s.window_workers ? worker AND jsonb_array_length(s.window_workers) < 2
            THEN
                s.window_workers := s.window_workers || to_jsonb(worker);
            END IF;
            cause := breaker_cause_to_open_v1(s, policy);
            IF cause IS NOT NULL AND s.state = 'metrics_only' THEN
                reached := s.opened_at IS NULL;
                s.opened_at := coalesce(s.opened_at, moment);
            ELSIF cause IS NOT NULL THEN
                s := breaker_open_v1(s, policy, result, cause, moment);
            END IF;
        END IF;
    END IF;

    PERFORM breaker_save_v1(s, moment);
    RETURN breaker_answer_v1(s, generation_before, moment) || jsonb_build_object('threshold_reached', reached);
END $$;
