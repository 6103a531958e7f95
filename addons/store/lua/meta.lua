-- What the store says of itself, which whoever comes first writes.
-- KEYS: meta. ARGV: what is to stand there if nothing does. Answers what stands there.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
