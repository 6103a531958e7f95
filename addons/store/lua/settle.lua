-- Gives back what an attempt took, and counts what it used. Of a place that others may wait for they hear.
-- KEYS: the roster of proxies; how many places this proxy holds; the probe; what is used of each window.
-- ARGV: the prefix of all keys; the id of this proxy; the place ("": it had none); how many of it there are;
--   1 if it was a probe; then of each window: until when what is counted now counts, and how much that is.
-- Gives how many places are held by all.
local prefix, proxy, place, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local first, held = 6, 0

for at = first, #ARGV, 2 do
  local key, ends = KEYS[4 + (at - first) / 2], math.ceil(tonumber(ARGV[at]) * 1000)
  redis.call('HINCRBYFLOAT', key, ARGV[at] .. '|' .. proxy, ARGV[at + 1])
  local time = redis.call('TIME')
  if redis.call('PTTL', key) < ends - tonumber(time[1]) * 1000 then redis.call('PEXPIREAT', key, ends) end
end

if ARGV[5] == '1' and redis.call('GET', KEYS[3]) == proxy then redis.call('DEL', KEYS[3]) end

if place ~= '' then
  local own = tonumber(redis.call('HGET', KEYS[2], place) or 0)
  if own > 1 then
    redis.call('HINCRBY', KEYS[2], place, -1)
  else
    redis.call('HDEL', KEYS[2], place)
  end
  for _, one in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    held = held + tonumber(redis.call('HGET', prefix .. 'held:' .. one, place) or 0)
  end
  if own > 0 and held == most - 1 then
    redis.call('PUBLISH', prefix .. 'changes', cjson.encode({proxy, 'places', {place, held}}))
  end
end
return held
