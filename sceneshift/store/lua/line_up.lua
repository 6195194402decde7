-- A part of settle and enable_lane: those of other lines of a lane stand in its line from now on, each at its place.
--
-- The line itself may be long, and the others are short: it is not copied, because every endpoint waits meanwhile.

local function line_up(waiting, ...)
  for _, line in ipairs({ ... }) do
    local members = redis.call('ZPOPMIN', line, 500)
    while #members > 0 do
      local places = {}
      for i = 1, #members, 2 do
        places[i], places[i + 1] = members[i + 1], members[i]
      end
      redis.call('ZADD', waiting, unpack(places))
      members = redis.call('ZPOPMIN', line, 500)
    end
  end
end
