-- A part of settle and look_at_lane: the thresholds that a failing endpoint has crossed and that nobody has told of yet;
-- at the last one it is disabled.
--
-- `thresholds` are percents of `disable_after` seconds, rising. One that is disabled for another reason than failing is at
-- the last of them. Whoever is given some tells of each, and says so (note_warning): who dies meanwhile leaves them to
-- the next look.

local function lane_warnings(lane, now, disable_after, thresholds)
  local known = redis.call('HMGET', lane, 'status', 'failing_since', 'warned', 'disabled_by')
  if not known[2] or known[4] == 'operator' then
    return {}
  end
  local warned, last = tonumber(known[3] or '0'), thresholds[#thresholds]
  if known[4] and known[4] ~= 'failing' then
    return warned < last and { last } or {}
  end
  local percent = (now - tonumber(known[2])) / disable_after * 100
  local crossed = {}
  for _, threshold in ipairs(thresholds) do
    if threshold > warned and percent >= threshold then
      crossed[#crossed + 1] = threshold
    end
  end
  if crossed[#crossed] == last and known[1] ~= 'disabled' then
    redis.call('HSET', lane, 'status', 'disabled', 'disabled_at', string.format('%.3f', now), 'disabled_by', 'failing')
    redis.call('HDEL', lane, 'catching_up', 'next_at', 'probe_at', 'probes')
  end
  return crossed
end
