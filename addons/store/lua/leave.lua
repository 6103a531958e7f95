-- A proxy ends: nobody has to wait until it is over.
-- KEYS: the zset of proxies, what it held. ARGV: id of the proxy, channel.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
redis.call('PUBLISH', ARGV[2], cjson.encode({ARGV[1], 'gone', {ARGV[1]}}))
return 1
