-- Forgets facts that were cleared, but for those that became known since.
-- KEYS: the index of facts, the key of each fact.
-- ARGV: what the keys of facts begin with; then of each fact when it was known that was cleared, in epoch seconds.
-- Answers how many were there.
local prefix, dropped = ARGV[1], 0
for i = 2, #KEYS do
  local held = redis.call('GET', KEYS[i])
  local at = held and tonumber(string.match(held, '^%[([^,]+),'))
  if at and at <= tonumber(ARGV[i]) then
    redis.call('DEL', KEYS[i])
    redis.call('ZREM', KEYS[1], string.sub(KEYS[i], #prefix + 1))
    dropped = dropped + 1
  end
end
return dropped
