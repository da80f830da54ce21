-- The first moment at which the clocks of a zone show a time, or pass it where they skip it.
--
-- PostgreSQL takes the second of two moments at which clocks that go back show the same; a day that starts with a
-- midnight that comes twice (the Azores, Havana) starts with the first, or its first hour would belong to no day.
CREATE FUNCTION budget_first_moment_v1(wall timestamp, timezone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    moment timestamptz := wall AT TIME ZONE timezone;
BEGIN
    RETURN CASE wall
        WHEN (moment - interval '1 hour') AT TIME ZONE timezone THEN moment - interval '1 hour'
        WHEN (moment - interval '30 minutes') AT TIME ZONE timezone THEN moment - interval '30 minutes'
        WHEN (moment - interval '2 hours') AT TIME ZONE timezone THEN moment - interval '2 hours'
        ELSE moment
    END;
END $$;

-- The period of a budget that contains a point in time. No job resets anything: the period is computed, never stored.
--
-- period         'daily', 'weekly', 'monthly', 'quarterly', 'lifetime', or 'rolling'
-- timezone       IANA name; a day is a day of its calendar, so it has 23 or 25 hours when the clocks change
-- week_start     ISO, 1 is Monday; only of a weekly period
-- moment         the point in time
--
-- A rolling period is kept in buckets of one hour, and this is the bucket. Unlike that of budget_period_v1, the period
-- always contains the point in time, also where midnight comes twice.
CREATE FUNCTION budget_period_v2(
    period text,
    timezone text,
    week_start integer,
    moment timestamptz,
    OUT period_start timestamptz,
    OUT period_end timestamptz
)
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    clock timestamp;
    first_day timestamp;
    duration interval;
BEGIN
    IF period = 'lifetime' THEN
        period_start := timestamptz '1970-01-01 00:00:00+00';
        period_end := timestamptz 'infinity';
        RETURN;
    ELSIF period = 'rolling' THEN
        period_start := date_trunc('hour', moment, 'UTC');
        period_end := period_start + interval '1 hour';
        RETURN;
    END IF;
    clock := moment AT TIME ZONE timezone;
    CASE period
        WHEN 'daily' THEN
            first_day := date_trunc('day', clock);
            duration := interval '1 day';
        WHEN 'weekly' THEN
            first_day := date_trunc('day', clock)
                - make_interval(days => (extract(isodow FROM clock)::integer - week_start + 7) % 7);
            duration := interval '7 days';
        WHEN 'monthly' THEN
            first_day := date_trunc('month', clock);
            duration := interval '1 month';
        WHEN 'quarterly' THEN
            first_day := date_trunc('quarter', clock);
            duration := interval '3 months';
    END CASE;
    period_start := budget_first_moment_v1(first_day, timezone);
    period_end := budget_first_moment_v1(first_day + duration, timezone);
END $$;
