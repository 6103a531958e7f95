-- A response and those before it, newest first, as far as they are there.
-- KEYS: all by their last use, those of the scope by their last use. ARGV: prefix of the responses of the scope, its
-- name with a colon, an id, how many at most. Answers what they say.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found, id = {}, ARGV[3]
while id ~= '' and #found < tonumber(ARGV[4]) do
  local one = redis.call('HMGET', ARGV[1] .. ARGV[2] .. id, 'previous', 'body')
  if not one[2] then
    break
  end
  redis.call('ZADD', KEYS[1], 'XX', 'GT', now, ARGV[2] .. id)
  redis.call('ZADD', KEYS[2], 'XX', 'GT', now, id)
  found[#found + 1] = one[2]
  id = one[1] or ''
end
return found
