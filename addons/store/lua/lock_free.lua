-- Gives a lock back, if it is still that of who took it.
-- KEYS: lock. ARGV: who took it. Answers how many locks that were, 1 or 0.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
