-- A proxy says that it is alive, and gets to know who else is.
-- KEYS: the zset of proxies, meta. ARGV: id of the proxy, milliseconds that it stays alive, whether it may remove
-- those that are over (1 or 0), prefix, channel.
-- Answers seconds and microseconds of the server's clock, how many are alive, its rank among them, whether it was
-- known to be alive (1 or 0), whether the store still has its meta (1 or 0), in how many milliseconds another one is
-- over that does not say so again (-1: there is none), and the ids that were removed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mine = redis.call('ZSCORE', KEYS[1], ARGV[1])
local known = mine and tonumber(mine) >= now
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local gone = {}
if known and ARGV[3] == '1' then
  gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now))
  for _, proxy in ipairs(gone) do
    redis.call('ZREM', KEYS[1], proxy)
    redis.call('DEL', ARGV[4] .. 'held:' .. proxy)
  end
  if #gone > 0 then
    redis.call('PUBLISH', ARGV[5], cjson.encode({ARGV[1], 'gone', gone}))
  end
end
local marks, alive, over = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('%.0f', now), '+inf', 'WITHSCORES'), {}, -1
for at = 1, #marks, 2 do
  alive[#alive + 1] = marks[at]
  if over < 0 and marks[at] ~= ARGV[1] then
    over = tonumber(marks[at + 1]) - now
  end
end
table.sort(alive)
local rank = 0
for place, proxy in ipairs(alive) do
  if proxy == ARGV[1] then
    rank = place - 1
  end
end
local meta = redis.call('EXISTS', KEYS[2])
return {time[1], time[2], #alive, rank, known and 1 or 0, meta, over, unpack(gone)}
