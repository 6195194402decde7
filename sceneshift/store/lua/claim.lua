-- Claims what is due: each claimed entry is moved to the end of a lease, so a claimer that dies loses nothing.
--
-- KEYS 1 due (zset)
-- ARGV 1 now   2 lease until   3 how many at the most
-- Returns the claimed members, the longest overdue first.

local due = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[3])
for _, id in ipairs(due) do
  redis.call('ZADD', KEYS[1], ARGV[2], id)
end
return due
