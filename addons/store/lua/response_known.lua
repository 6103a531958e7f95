-- What became of responses.
-- KEYS: for each of them, the response, and whether it was deleted. Answers for each 1 if it is there, -1 if it
-- was deleted, else 0.
local found = {}
for at = 1, #KEYS, 2 do
  local deleted = redis.call('EXISTS', KEYS[at + 1]) == 1
  found[#found + 1] = deleted and -1 or redis.call('EXISTS', KEYS[at])
end
return found
