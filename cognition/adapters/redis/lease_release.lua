-- Gives a lease back and leaves an outcome, in one step: whoever sees the lease free also sees the outcome.
-- Times are milliseconds.
-- KEYS: lease, outcome. ARGV: token, life of the outcome, and, unless there is none, the outcome.
-- Without the lease nothing is left: the outcome of its present holder counts.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('UNLINK', KEYS[1])
if ARGV[3] then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
end
return 1
