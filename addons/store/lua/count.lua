-- Keeps what each proxy has counted in all, in a hash for each window and scope.
-- KEYS: the index of counts, and the hash of each count.
-- ARGV: the proxy, the channel, what the keys of hashes begin with, the present in epoch seconds; then of each
-- count until when it counts, which proxy counted it, and how much in all.
-- What another proxy counted is kept only where nothing of it is there. 0: nothing is counted.
-- Publishes what this proxy counted, and answers how much that is.
local proxy, channel, prefix, now = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local MANY = 200

local function prune(key)
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local last = tonumber(string.match(field, '^([^|]+)|'))
    if not last or last <= now then redis.call('HDEL', key, field) end
  end
end

local function lasts(key, last)
  local ends, left = string.format('%.0f', last * 1000), redis.call('PTTL', key)
  if left < 0 or now * 1000 + left < last * 1000 then
    redis.call('PEXPIREAT', key, ends)
  end
end

local news = {}
for i = 2, #KEYS do
  local key, last, whose, total = KEYS[i], ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  local field, name = last .. '|' .. whose, string.sub(key, #prefix + 1)
  if tonumber(total) == 0 then
    redis.call('HDEL', key, field)
  elseif tonumber(last) > now then
    local made = redis.call(whose == proxy and 'HSET' or 'HSETNX', key, field, total)
    redis.call('ZADD', KEYS[1], 'GT', last, name)
    lasts(key, tonumber(last))
    if made == 1 and redis.call('HLEN', key) > MANY then prune(key) end
  end
  if whose == proxy then
    news[#news + 1] = '[' .. name .. ',' .. last .. ',' .. total .. ']'
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[4])
if #news > 0 then
  redis.call('PUBLISH', channel, '["' .. proxy .. '","used",["' .. proxy .. '",[' .. table.concat(news, ',') .. ']]]')
end
return #news
