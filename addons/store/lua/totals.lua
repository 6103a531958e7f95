-- What calls came to, as one proxy counted them: the latest count of each row stands.
-- KEYS: the hash of the half hours of a day, and that of the day. ARGV: when each ends, in seconds; how many
-- rows the first gets; then a field and a value for each row, of which the value begins with a number that grows.
local left = tonumber(ARGV[3])
local at = 4
while at < #ARGV do
  local key = KEYS[2]
  if left > 0 then
    key = KEYS[1]
  end
  local known = redis.call('HGET', key, ARGV[at])
  local before = known and tonumber(string.match(known, '^%d+')) or 0
  if tonumber(string.match(ARGV[at + 1], '^%d+')) > before then
    redis.call('HSET', key, ARGV[at], ARGV[at + 1])
  end
  left = left - 1
  at = at + 2
end
for each = 1, 2 do
  redis.call('EXPIREAT', KEYS[each], ARGV[each])
end
return 1
