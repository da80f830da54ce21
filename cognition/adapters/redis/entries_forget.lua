-- Makes older generations of one namespace unreachable and drops entries. Times are milliseconds.
-- KEYS: generation of the namespace, then one key an entry to drop.
-- ARGV: the new generation or 0 to leave it, least life of the generation.
-- Returns how many of the entries were held.
local generation = tonumber(ARGV[1])
if generation > 0 then
  -- Never lowered: two invalidations may arrive in the wrong order.
  generation = math.max(generation, tonumber(redis.call('GET', KEYS[1])) or 0)
  local life = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]))
  redis.call('SET', KEYS[1], string.format('%.0f', generation), 'PX', life)
end
local held = 0
for i = 2, #KEYS do
  held = held + redis.call('UNLINK', KEYS[i])
end
return held
