-- Takes all of what an attempt needs, or nothing.
-- KEYS: the roster of proxies; how many places this proxy holds; the probe; who waits for a place; what is used of
--   each window.
-- ARGV: the prefix of all keys; the id of this proxy; the place ("": none is wanted); how many of it there are;
--   for how long a probe lasts, in ms (0: it is none); since when the call has waited, in seconds since the epoch (0:
--   it has not); then of each window: until when what is counted now counts, how much that is, and the limit ("": it
--   is not held to one).
-- Gives {0, places held elsewhere}: all is taken. Else nothing is, since {1, places held elsewhere, place, how many are
--   held elsewhere, ...}: no place is
--   free, or those that are free are for who has waited longer; {2, window, until, amount, ...}: this window, from 0
--   on, is full, with all that is used of it; {3, ms}: another proxy probes, for so long; {4}: this proxy is
--   not on the roster, and what it holds is not known.
local prefix, proxy, place, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local probe, since, first, tiny = tonumber(ARGV[5]), tonumber(ARGV[6]), 7, 1e-9
local MANY = 1000
local line, waits_for, time = KEYS[4], 1.5, redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

-- How many other proxies have waited for longer, of those that asked lately.
local function before()
  local found, waiting = 0, redis.call('HGETALL', line)
  for each = 1, #waiting, 2 do
    local theirs, asked = string.match(waiting[each + 1], '^(.*)|(.*)$')
    if now - tonumber(asked) > waits_for then
      redis.call('HDEL', line, waiting[each])
    elseif waiting[each] ~= proxy and (since == 0 or tonumber(theirs) < since) then
      found = found + 1
    end
  end
  return found
end

local function wait()
  if since == 0 then return end
  local mine = string.match(redis.call('HGET', line, proxy) or '', '^(.*)|')
  redis.call('HSET', line, proxy, string.format('%.6f|%.6f', math.min(tonumber(mine or since), since), now))
  redis.call('PEXPIRE', line, 2 * waits_for * 1000)
end

-- What other proxies hold of each place of the same provider: most of what would be asked for next is full too.
local function others()
  local held, found, provider = {}, {}, string.match(place, '^[^\n]*\n')
  for _, one in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local places = one ~= proxy and redis.call('HGETALL', prefix .. 'held:' .. one) or {}
    for each = 1, #places, 2 do
      if string.sub(places[each], 1, #provider) == provider then
        held[places[each]] = (held[places[each]] or 0) + tonumber(places[each + 1])
      end
    end
  end
  for name, count in pairs(held) do
    if #found < MANY then
      found[#found + 1], found[#found + 2] = name, count
    end
  end
  return found
end

local elsewhere = 0
if place ~= '' then
  if not redis.call('ZSCORE', KEYS[1], proxy) then return {4} end
  for _, one in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if one ~= proxy then
      elsewhere = elsewhere + tonumber(redis.call('HGET', prefix .. 'held:' .. one, place) or 0)
    end
  end
  local free = most - elsewhere - tonumber(redis.call('HGET', KEYS[2], place) or 0)
  if free <= 0 or free <= before() then
    wait()
    return {1, elsewhere, unpack(others())}
  end
end

for at = first, #ARGV, 3 do
  local limit = tonumber(ARGV[at + 2])
  if limit then
    local key = KEYS[5 + (at - first) / 3]
    local parts, sum, found = redis.call('HGETALL', key), 0, {2, (at - first) / 3}
    for each = 1, #parts, 2 do
      local ends = string.match(parts[each], '^[^|]*')
      if (tonumber(ends) or 0) > now then
        sum = sum + tonumber(parts[each + 1])
        found[#found + 1], found[#found + 2] = ends, parts[each + 1]
      else
        redis.call('HDEL', key, parts[each])
      end
    end
    if sum >= limit - tiny then return found end
  end
end

if probe > 0 and not redis.call('SET', KEYS[3], proxy, 'NX', 'PX', probe) then
  return {3, math.max(redis.call('PTTL', KEYS[3]), 1)}
end

if place ~= '' then
  redis.call('HINCRBY', KEYS[2], place, 1)
  if since > 0 then redis.call('HDEL', line, proxy) end
end
for at = first, #ARGV, 3 do
  if tonumber(ARGV[at + 1]) > 0 then
    local key, ends = KEYS[5 + (at - first) / 3], math.ceil(tonumber(ARGV[at]) * 1000)
    redis.call('HINCRBYFLOAT', key, ARGV[at] .. '|' .. proxy, ARGV[at + 1])
    if redis.call('PTTL', key) < ends - now * 1000 then redis.call('PEXPIREAT', key, ends) end
  end
end
return {0, elsewhere}
