-- Says how many places this proxy holds, whatever was known of that before; others may have waited for some.
-- KEYS: the roster of proxies; how many places this proxy holds.
-- ARGV: the prefix of all keys; the id of this proxy; then of each place: its name, how many of it there are, and
--   how many this proxy holds.
local prefix, proxy, first = ARGV[1], ARGV[2], 3
redis.call('DEL', KEYS[2])
for at = first, #ARGV, 3 do
  if tonumber(ARGV[at + 2]) > 0 then redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 2]) end
end
for at = first, #ARGV, 3 do
  local held = 0
  for _, one in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    held = held + tonumber(redis.call('HGET', prefix .. 'held:' .. one, ARGV[at]) or 0)
  end
  if held < tonumber(ARGV[at + 1]) and redis.call('EXISTS', prefix .. 'line:' .. ARGV[at]) == 1 then
    redis.call('PUBLISH', prefix .. 'changes', cjson.encode({proxy, 'places', {ARGV[at], held, 0}}))
  end
end
return 1
