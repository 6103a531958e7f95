-- Keeps what proxies know, each fact under a key of its own: of two that one which its law prefers.
-- KEYS: the index of facts, the index of conversations, the key of each fact.
-- ARGV: the proxy, the channel, what the keys of facts begin with, the present in epoch seconds, how many
-- conversations the index holds; then of each fact its law and its text, [at, until, value].
-- Publishes what is news, and answers how much that is.
local proxy, channel, prefix, now, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]

local function times(text)
  local at, last = string.match(text, '^%[([^,]+),([^,]+),')
  return tonumber(at), tonumber(last)
end

local function holds(law, held, at, last)
  local held_at, held_last = times(held)
  if not held_at or not held_last then return false end
  if law == 'longer' then
    return held_last > last or (held_last == last and held_at >= at)
  end
  return held_at > at or (held_at == at and held_last >= last)
end

local news, conversations = {}, 0
for i = 3, #KEYS do
  local law, text = ARGV[2 * i], ARGV[2 * i + 1]
  local at, last = times(text)
  if at and last and last > now then
    local held = redis.call('GET', KEYS[i])
    if not held or not holds(law, held, at, last) then
      local name = string.sub(KEYS[i], #prefix + 1)
      redis.call('SET', KEYS[i], text, 'PXAT', string.format('%.0f', last * 1000))
      if law == 'conversation' then
        conversations = conversations + 1
        redis.call('ZADD', KEYS[2], string.format('%.6f', at), name)
      else
        redis.call('ZADD', KEYS[1], string.format('%.6f', last), name)
      end
      news[#news + 1] = '[' .. name .. ',' .. text .. ']'
    end
  end
end
if conversations > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -tonumber(most) - 1)
end
if #news > conversations then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[4])
end
if #news > 0 then
  redis.call('PUBLISH', channel, '["' .. proxy .. '","entries",[' .. table.concat(news, ',') .. ']]')
end
return #news
