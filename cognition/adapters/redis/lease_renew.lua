-- Prolongs a lease for its holder only: after it ran out, somebody else may work. Times are milliseconds.
-- KEYS: lease. ARGV: token, life.
-- Returns 1, or 0 when it is no longer held.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
