-- Say whether a worker may call, and grant a permit where it needs one.
--
-- Returns {"standing", "transition", "admitted", "permit", "retry_after"}; retry_after is in seconds, and the standing of a
-- breaker that never had anything to tell is null.
CREATE FUNCTION breaker_admit_v1(for_tenant text, breaker jsonb, policy jsonb, worker text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    s circuit_breaker_state;
    moment timestamptz;
    generation_before bigint;
    wait interval;
    free_slot integer;
    granted uuid;
BEGIN
    SELECT c.* INTO s FROM circuit_breaker_state AS c
    WHERE c.tenant = for_tenant AND c.breaker_key = breaker ->> 'key';
    IF NOT FOUND THEN
        RETURN jsonb_build_object('admitted', true, 'as_of', clock_timestamp());
    END IF;
    -- Permits are only given under the lock, and the time is read after all waiting for it.
    IF s.state IN ('open', 'half_open') THEN
        s := breaker_lock_v1(for_tenant, breaker);
    END IF;
    moment := clock_timestamp();
    generation_before := s.generation;
    wait := greatest(
        CASE WHEN s.state = 'open' THEN s.open_until - moment END, s.cooldown_until - moment, interval '0'
    );

    IF s.state IN ('disabled', 'metrics_only') OR (s.state = 'closed' AND wait = interval '0') THEN
        RETURN breaker_answer_v1(s, generation_before, moment) || jsonb_build_object('admitted', true);
    ELSIF s.state = 'forced_open' OR wait > interval '0' THEN
        RETURN breaker_answer_v1(s, generation_before, moment) || jsonb_build_object(
            'admitted', false,
            'retry_after', CASE WHEN s.state <> 'forced_open' THEN extract(epoch FROM wait) END
        );
    END IF;

    IF s.state = 'open' THEN
        s := breaker_move_v1(s, 'half_open', jsonb_build_object('cause', 'time', 'worker', worker), NULL, moment);
        PERFORM breaker_save_v1(s, moment);
    END IF;
    DELETE FROM circuit_breaker_permits AS p
    WHERE p.tenant = s.tenant AND p.breaker_key = s.breaker_key AND p.lease_until <= moment;
    SELECT min(n) INTO free_slot FROM generate_series(1, (policy ->> 'half_open_permits')::integer) AS n
    WHERE NOT EXISTS (
        SELECT FROM circuit_breaker_permits AS p
        WHERE p.tenant = s.tenant AND p.breaker_key = s.breaker_key AND p.slot = n
    );
    IF free_slot IS NOT NULL THEN
        granted := gen_random_uuid();
        INSERT INTO circuit_breaker_permits (
            tenant, breaker_key, slot, permit, generation, holder, granted_at, lease_until
        ) VALUES (
            s.tenant, s.breaker_key, free_slot, granted, s.generation, worker, moment,
            moment + make_interval(secs => (policy ->> 'permit_lease')::float8)
        );
    END IF;
    RETURN breaker_answer_v1(s, generation_before, moment)
        || jsonb_build_object('admitted', granted IS NOT NULL, 'permit', granted);
END $$;
