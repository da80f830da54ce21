-- How well one layer of the cache served during a time window that ends now.
--
-- layer        'l1', 'l2', 'l3', or 'all'
-- time_window  read from hourly rollups, so it is widened to the start of its first hour (UTC)
-- for_tenant   whose look-ups
--
-- hit_rate runs from 0 to 1 and is NULL when nothing was looked up. For one layer it is the share of its own look-ups that
-- it answered. For 'all' it is the share of all answers that came from the cache instead of a provider: the layers'
-- look-ups can't be added up, because a miss in one is a look-up in the next.
CREATE FUNCTION calculate_cache_hit_rate_v1(layer text, time_window interval, for_tenant text DEFAULT 'default')
RETURNS TABLE (
    window_start timestamptz,
    lookups bigint,
    hits bigint,
    misses bigint,
    hit_rate numeric,
    stale_hits bigint,
    refusals bigint,
    stores bigint,
    errors bigint,
    corrupt bigint,
    saved_usd numeric,
    mean_latency_ms double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH bounds AS (
        SELECT date_trunc('hour', now() - calculate_cache_hit_rate_v1.time_window, 'UTC') AS first_hour
    ),
    counted AS (
        SELECT
            s.*,
            s.layer = 'provider' AS by_provider
        FROM llm_cache_stats AS s, bounds AS b
        WHERE s.tenant = calculate_cache_hit_rate_v1.for_tenant
            AND s.hour >= b.first_hour
            AND (calculate_cache_hit_rate_v1.layer = 'all' OR s.layer = calculate_cache_hit_rate_v1.layer)
    ),
    totals AS (
        SELECT
            coalesce(sum(c.hits) FILTER (WHERE NOT c.by_provider), 0)::bigint AS hits,
            coalesce(
                CASE calculate_cache_hit_rate_v1.layer
                    WHEN 'all' THEN sum(c.hits) FILTER (WHERE c.by_provider)
                    ELSE sum(c.misses)
                END,
                0
            )::bigint AS misses,
            coalesce(sum(c.stale_hits), 0)::bigint AS stale_hits,
            coalesce(sum(c.refusals), 0)::bigint AS refusals,
            coalesce(sum(c.stores), 0)::bigint AS stores,
            coalesce(sum(c.errors) FILTER (WHERE NOT c.by_provider), 0)::bigint AS errors,
            coalesce(sum(c.corrupt), 0)::bigint AS corrupt,
            coalesce(sum(c.saved_usd), 0) AS saved_usd,
            sum(c.latency_ms_sum) / nullif(sum(c.latency_count), 0)::double precision AS mean_latency_ms
        FROM counted AS c
    )
    SELECT
        b.first_hour,
        t.hits + t.misses,
        t.hits,
        t.misses,
        round(t.hits::numeric / nullif(t.hits + t.misses, 0), 6),
        t.stale_hits,
        t.refusals,
        t.stores,
        t.errors,
        t.corrupt,
        t.saved_usd,
        t.mean_latency_ms
    FROM totals AS t, bounds AS b;
END;

-- The promised name; it always means the newest version.
CREATE FUNCTION calculate_cache_hit_rate(layer text, time_window interval, for_tenant text DEFAULT 'default')
RETURNS TABLE (
    window_start timestamptz,
    lookups bigint,
    hits bigint,
    misses bigint,
    hit_rate numeric,
    stale_hits bigint,
    refusals bigint,
    stores bigint,
    errors bigint,
    corrupt bigint,
    saved_usd numeric,
    mean_latency_ms double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT v1.*
    FROM calculate_cache_hit_rate_v1(
        calculate_cache_hit_rate.layer,
        calculate_cache_hit_rate.time_window,
        calculate_cache_hit_rate.for_tenant
    ) AS v1;
END;
