-- Reads a page of what proxies have counted.
-- KEYS: the index of counts. ARGV: what the keys of hashes begin with, the first place and the last.
-- Answers each name with the fields and values of its hash.
local names = redis.call('ZREVRANGE', KEYS[1], ARGV[2], ARGV[3])
local found = {}
for _, name in ipairs(names) do
  found[#found + 1] = name
  found[#found + 1] = redis.call('HGETALL', ARGV[1] .. name)
end
return found
