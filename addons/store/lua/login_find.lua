-- What came of a refresh token.
-- KEYS: login. Answers the encrypted answer to the refresh, 1 if that used the token up, else 0, and how many
-- milliseconds ago it came; nothing where nobody refreshed it.
local found = redis.call('HMGET', KEYS[1], 'box', 'used_up', 'at')
if not (found[1] and found[2] and found[3]) then
  return {}
end
local time = redis.call('TIME')
return {found[1], tonumber(found[2]), time[1] * 1000 + math.floor(time[2] / 1000) - found[3]}
