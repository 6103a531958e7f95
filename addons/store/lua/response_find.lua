-- A response and those before it, newest first, as far as they are there.
-- KEYS: all by their last use, those of the scope by their last use. ARGV: prefix of responses, the scope with a
-- colon, an id, how many responses at most, how many bytes of each, and of all. Answers of each its length and how
-- it begins: with the id of the one before it, or so many spaces.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found, id, left = {}, ARGV[3], tonumber(ARGV[6])
while id ~= '' and #found < tonumber(ARGV[4]) and left > 0 do
  local key = ARGV[1] .. ARGV[2] .. id
  local first = redis.call('GETRANGE', key, 0, ARGV[5] - 1)
  if first == '' then
    break
  end
  redis.call('ZADD', KEYS[1], 'XX', 'GT', now, ARGV[2] .. id)
  redis.call('ZADD', KEYS[2], 'XX', 'GT', now, id)
  found[#found + 1] = {redis.call('STRLEN', key), first}
  left = left - #first
  id = string.gsub(string.sub(first, 1, 32), ' ', '')
end
return found
