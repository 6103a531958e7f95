-- What one proxy counted of a user on one day, and whether the user may have that much.
-- KEYS: a hash, from the ids of proxies to "version requests tokens cost".
-- ARGV: the proxy's id; the version of what it counted (0: it is not written); requests, tokens, cost; when
-- the hash ends, in seconds; the most of each that all proxies together may count, or none of the three; the
-- channel and the message to the others, or neither.
-- Answers 1 and the hash; 0 and the hash, unwritten, where it would be too much.
local found = redis.call('HGETALL', KEYS[1])
local known, requests, tokens, cost = 0, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
for at = 1, #found, 2 do
  local version, r, t, c = string.match(found[at + 1], '^(%d+) (%d+) (%d+) (%d[%d.e+-]*)$')
  if version and found[at] == ARGV[1] then
    known = tonumber(version)
  elseif version then
    requests, tokens, cost = requests + r, tokens + t, cost + c
  end
end
if ARGV[7] ~= '' and (requests > tonumber(ARGV[7]) or tokens >= tonumber(ARGV[8]) or cost >= tonumber(ARGV[9])) then
  return {0, found}
end
if tonumber(ARGV[2]) > known then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
  redis.call('EXPIREAT', KEYS[1], ARGV[6])
  if ARGV[10] ~= '' then
    redis.call('PUBLISH', ARGV[10], ARGV[11])
  end
end
return {1, found}
