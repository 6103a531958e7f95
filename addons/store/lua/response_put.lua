-- Puts a piece of a response aside, until it is whole.
-- KEYS: where. ARGV: the offset of the piece, the piece, for how many milliseconds. Answers 1.
redis.call('SETRANGE', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
