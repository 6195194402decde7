-- Takes one measured latency into the mean and the variance of the logarithm of such jobs' latencies.
--
-- The first ones count in full, later ones with a fixed weight, so that old ones are forgotten exponentially. One that
-- lies far out counts as if it lay at a bound: a poll that came late after an outage spoils little.
--
-- KEYS 1 latency (hash: count, mean, variance, latest)
-- ARGV 1 natural logarithm of the seconds   2 job   3 weight of a new one   4 variance before there are two
--      5 the bound, in logarithms   6 the same in deviations: the larger one counts
-- Returns 1, or 0 when this job was the latest to be taken in already.

local kept = redis.call('HMGET', KEYS[1], 'count', 'mean', 'variance', 'latest')
if kept[4] == ARGV[2] then
  return 0
end
local measured, count = tonumber(ARGV[1]), tonumber(kept[1] or '0')
local mean, variance = tonumber(kept[2] or ARGV[1]), tonumber(kept[3] or ARGV[4])
if count > 0 then
  local bound = math.max(tonumber(ARGV[5]), tonumber(ARGV[6]) * math.sqrt(variance))
  local difference = math.max(-bound, math.min(bound, measured - mean))
  local weight = math.max(tonumber(ARGV[3]), 1 / (count + 1))
  mean = mean + weight * difference
  variance = (1 - weight) * (variance + weight * difference * difference)
end
redis.call('HSET', KEYS[1], 'count', count + 1, 'latest', ARGV[2],
  'mean', string.format('%.6f', mean), 'variance', string.format('%.6f', variance))
return 1
