-- Moves the due time of claimed entries whose records nobody here understands, and touches nothing else: whoever does
-- understand them may have taken them up since.
--
-- KEYS 1 due (zset)   2 unknown records (zset)
-- ARGV 1 id   2 the due time that the claim has set   3 due at   4 now   5 what was seen before this is forgotten
-- Returns 1 when moved, 0 when somebody has moved the entry since the claim.

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0') ~= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
