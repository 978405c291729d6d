-- Users who pause before each request, for exponential times: requests then come at any moment,
-- also at the bad ones. Without pauses a stalled server is simply asked less often, and the stall
-- hardly shows in the quantiles (https://github.com/giltene/wrk2#acknowledgements tells of it).
-- Arguments: the number of routes, which are asked in turn, and the mean pause in milliseconds.
local paths, pause, next_path = {}, 0, 0

function init(arguments)
  for i = 1, tonumber(arguments[1]) do
    paths[i] = wrk.format("GET", wrk.path .. "/" .. (i - 1))
  end
  pause = tonumber(arguments[2])
end

function request()
  next_path = next_path % #paths + 1
  return paths[next_path]
end

function delay()
  return math.floor(0.5 - pause * math.log(1 - math.random()))
end
