-- Reads a page of what an index names, the latest first.
-- KEYS: the index. ARGV: what the keys begin with, the first place and the last, 0 being the latest.
-- Answers each name with its text; '' where it is over.
local names = redis.call('ZREVRANGE', KEYS[1], ARGV[2], ARGV[3])
local found = {}
for _, name in ipairs(names) do
  found[#found + 1] = name
  found[#found + 1] = redis.call('GET', ARGV[1] .. name) or ''
end
return found
