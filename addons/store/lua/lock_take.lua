-- Takes a lock for a while. Who has it already keeps it: an answer that was lost may have said so.
-- KEYS: lock. ARGV: who takes it, for how many milliseconds. Answers 1 if they have it now, else 0.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return 1
end
return 0
