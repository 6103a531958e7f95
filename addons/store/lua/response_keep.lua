-- Keeps a response, and lets go of what is over and of those used longest ago that there is no more room for.
-- A response that was deleted stays deleted.
-- KEYS: response, whether it was deleted, all by their last use, all by their end, the sizes of all, the bytes of
-- all, those of its scope by their last use, where it was put piece by piece. ARGV: prefix of responses, its name
-- among all, its id, what it says or nothing where that was put piece by piece, its bytes, milliseconds to its end,
-- the most bytes of all, the most responses of a scope. Answers 1 if it is kept, else 0.
local prefix, name, id = ARGV[1], ARGV[2], ARGV[3]
local used, ends, sizes, bytes, scope = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local most, count = tonumber(ARGV[7]), tonumber(ARGV[8])

local function forget(other)
  local size = redis.call('HGET', sizes, other)
  redis.call('DEL', prefix .. other)
  redis.call('ZREM', used, other)
  redis.call('ZREM', ends, other)
  redis.call('HDEL', sizes, other)
  redis.call('DECRBY', bytes, size or 0)
  redis.call('ZREM', prefix .. 'of:' .. string.sub(other, 1, -34), string.sub(other, -32))
end

if redis.call('EXISTS', KEYS[2]) == 1 or (ARGV[4] == '' and redis.call('EXISTS', KEYS[8]) == 0) then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = redis.call('HGET', sizes, name)
if ARGV[4] == '' then
  redis.call('RENAME', KEYS[8], KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[4])
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('ZADD', used, now, name)
redis.call('ZADD', scope, now, id)
redis.call('ZADD', ends, now + ARGV[6], name)
redis.call('HSET', sizes, name, ARGV[5])
redis.call('INCRBY', bytes, ARGV[5] - (before or 0))

for _, other in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 100)) do
  forget(other)
end
while redis.call('ZCARD', scope) > count do
  forget(string.sub(name, 1, -33) .. redis.call('ZRANGE', scope, 0, 0)[1])
end
while tonumber(redis.call('GET', bytes) or '0') > most and redis.call('ZCARD', used) > 0 do
  forget(redis.call('ZRANGE', used, 0, 0)[1])
end
return redis.call('EXISTS', KEYS[1])
