-- An acceptance that has no place on its job's record: the ledger has it as charged, once.
--
-- KEYS 1 result keys of this day (hash)   2 the ledger's day of the submission (hash)   3 decisions of this day (list)
--      4 result keys of the day before (hash)
-- ARGV 1 digest of the result key   2 job id without its prefix   3 images   4 decision (JSON)   5 ledger ttl in milliseconds
--      6 the ledger's day (YYYY-MM-DD) when its job has left that submission behind, so that a line stands for it as
--      unknown; '' otherwise. It is kept beside the job, for a person who has the job go on under this key after all.
-- Returns 1 when it is new, 0 when it was known.

local owner = ARGV[6] == '' and ARGV[2] or ARGV[2] .. '+' .. ARGV[6]
if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 1 or redis.call('HSETNX', KEYS[1], ARGV[1], owner) == 0 then
  return 0
end
redis.call('PEXPIRE', KEYS[1], 3 * 86400000)
for _, unit in ipairs({ { 'submissions', 1 }, { 'images', tonumber(ARGV[3]) } }) do
  -- A store that has forgotten that submission has no line for it.
  if ARGV[6] ~= '' and tonumber(redis.call('HGET', KEYS[2], 'unknown:superseded:' .. unit[1]) or '0') >= unit[2] then
    redis.call('HINCRBY', KEYS[2], 'unknown:superseded:' .. unit[1], -unit[2])
  end
  redis.call('HINCRBY', KEYS[2], 'charged:superseded:' .. unit[1], unit[2])
end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('RPUSH', KEYS[3], ARGV[4])
redis.call('PEXPIRE', KEYS[3], ARGV[5])
return 1
