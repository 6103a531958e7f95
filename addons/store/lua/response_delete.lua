-- Deletes a response for good: nobody can keep it again.
-- KEYS: as those of response_keep. ARGV: its name among all, its id, the milliseconds for which nobody can, the
-- channel of changes and what it is to say. Answers 1.
local size = redis.call('HGET', KEYS[5], ARGV[1])
redis.call('SET', KEYS[2], '', 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('HDEL', KEYS[5], ARGV[1])
redis.call('DECRBY', KEYS[6], size or 0)
redis.call('ZREM', KEYS[7], ARGV[2])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
