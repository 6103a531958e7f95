-- Gives back what an attempt took, and counts what it used; or leaves the line for a place that nobody here waits for
-- any more. Of a place that is free they hear who wait for it.
-- KEYS: the roster of proxies; how many places this proxy holds; the probe; who waits for a place; what is used of
--   each window.
-- ARGV: the prefix of all keys; the id of this proxy; the place ("": it had none); how many of it there are; 1 if the
--   attempt was a probe; 1 if a place is given back, 0 if it is left to others; then of each window: until when what
--   is counted now counts, and how much that is.
-- Gives how many places are held by all.
local prefix, proxy, place, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local given, first, line, waits_for, time = ARGV[6] == '1', 7, KEYS[4], 1.5, redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

for at = first, #ARGV, 2 do
  local key, ends = KEYS[5 + (at - first) / 2], math.ceil(tonumber(ARGV[at]) * 1000)
  redis.call('HINCRBYFLOAT', key, ARGV[at] .. '|' .. proxy, ARGV[at + 1])
  if redis.call('PTTL', key) < ends - now * 1000 then redis.call('PEXPIREAT', key, ends) end
end

if ARGV[5] == '1' and redis.call('GET', KEYS[3]) == proxy then redis.call('DEL', KEYS[3]) end
if place == '' then return 0 end

-- Of those that asked lately the ones that have waited longest, as many as places are free.
local function turn(free)
  local found, waiting = {}, redis.call('HGETALL', line)
  for each = 1, #waiting, 2 do
    local since, asked = string.match(waiting[each + 1], '^(.*)|(.*)$')
    if now - tonumber(asked) <= waits_for then
      found[#found + 1] = {tonumber(since), waiting[each]}
    end
  end
  table.sort(found, function(one, other) return one[1] < other[1] end)
  local names = {}
  for each = 1, math.min(free, #found) do names[each] = found[each][2] end
  return names
end

local own, held = tonumber(redis.call('HGET', KEYS[2], place) or 0), 0
if not given then
  redis.call('HDEL', line, proxy)
elseif own > 1 then
  redis.call('HINCRBY', KEYS[2], place, -1)
else
  redis.call('HDEL', KEYS[2], place)
end
for _, one in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  held = held + tonumber(redis.call('HGET', prefix .. 'held:' .. one, place) or 0)
end
if held < most then
  local names = turn(most - held)
  if #names > 0 or not given or (own > 0 and held == most - 1) then
    local body = {place, held, #names > 0 and names or 0}
    redis.call('PUBLISH', prefix .. 'changes', cjson.encode({proxy, 'places', body}))
  end
end
return held
