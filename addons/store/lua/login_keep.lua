-- Keeps what came of a refresh token, unless something later did.
-- KEYS: login. ARGV: the encrypted answer to the refresh, 1 if that used the token up, else 0, how many
-- milliseconds ago it came and for how many it is kept, the channel of changes and what it is to say.
-- Answers 1 if it is kept, else 0.
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[3]
if tonumber(redis.call('HGET', KEYS[1], 'at') or '0') > at then
  return 0
end
redis.call('HSET', KEYS[1], 'box', ARGV[1], 'used_up', ARGV[2], 'at', string.format('%.0f', at))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 1
