-- Takes a lease if it is free. Times are milliseconds.
-- KEYS: lease. ARGV: token, life.
-- Returns the token of whoever holds it now.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return ARGV[1]
end
return redis.call('GET', KEYS[1])
