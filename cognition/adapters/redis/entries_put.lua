-- Keeps entries of one namespace unless they were invalidated on their way here. Times are milliseconds.
-- KEYS: generation of the namespace, then one key an entry.
-- ARGV: slack, then for each entry its generation, life and value.
-- Returns how many entries were kept, and 1 if the generation was unknown before.
local known = tonumber(redis.call('GET', KEYS[1]))
local current = known or 0
local newest, longest, kept = current, 0, 0
for i = 2, #KEYS do
  local at = 3 * i - 4
  local generation, life = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  if generation >= current then
    redis.call('SET', KEYS[i], ARGV[at + 2], 'PX', life)
    newest, longest, kept = math.max(newest, generation), math.max(longest, life), kept + 1
  end
end
if kept > 0 then
  -- Without its generation an entry is unreachable, and without the generation an invalidated answer would be accepted:
  -- so the generation outlives every entry, and its life is never shortened.
  local life = math.max(longest + tonumber(ARGV[1]), redis.call('PTTL', KEYS[1]))
  redis.call('SET', KEYS[1], string.format('%.0f', newest), 'PX', life)
end
return {kept, known and 0 or 1}
