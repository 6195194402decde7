-- Recovery mode is on: no intent is stored until it ends. The store gets an identity when it has none.
--
-- KEYS 1 recovery (hash)   2 generation (hash)
-- ARGV 1 now   2 reason   3 by   4 an identity for a store that has none
-- Returns 1 when this call began it, 0 when it was on already. `begins` counts those who found something: whoever ends
-- it has looked at everything since the last of them. A repeated call only counts once more.

redis.call('HSETNX', KEYS[2], 'id', ARGV[4])
local is_first = redis.call('HSETNX', KEYS[1], 'since', ARGV[1])
if is_first == 1 then
  redis.call('HSET', KEYS[1], 'reason', ARGV[2], 'by', ARGV[3])
end
redis.call('HINCRBY', KEYS[1], 'begins', 1)
return is_first
