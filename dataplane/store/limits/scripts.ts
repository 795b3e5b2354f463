/**
 * Limits in Redis, by Redis's own clock: one script a question, so that nothing happens between looking and taking. A key holds one limit's state
 * for one caller, and expires when the limit is whole again:
 *
 *   tokenBucket    time at which the bucket is full (µs since BASE): the generic cell rate algorithm, as limit/token-bucket.ts
 *   fixedWindow    number of the window since the epoch, units taken in it
 *   slidingWindow  the same, and the units of the window before, as limit/sliding-window.ts
 *
 * `ARGV` of a limit: algorithm, limit, window (µs), burst. Times that come back are whole ms, rounded up.
 */
import { type Script, script } from '../redis/script.ts';

const STATE = `
-- µs. A bucket counts from BASE, so that what is left of a double's 53 bits resolves 1/64 µs.
local BASE = 1700000000
local time = redis.call('TIME')
local seconds, micros = tonumber(time[1]), tonumber(time[2])

local function ms(span)
  return math.max(0, math.ceil(span / 1000 - 0.001))
end

local function open(key, algorithm, limit, window, burst)
  local held = redis.call('GET', key)
  local state = { key = key, algorithm = algorithm, window = window, most = limit }
  if algorithm == 'tokenBucket' then
    local now = (seconds - BASE) * 1000000 + micros
    state.now, state.unit, state.most = now, window / limit, burst
    state.debt = math.max(0, (tonumber(held) or 0) - now)
    return state
  end
  local now = seconds * 1000000 + micros
  local index = math.floor(now / window)
  local heldIndex, current, previous = string.match(held or '', '^(%d+) (%d+) ?(%d*)$')
  heldIndex, current, previous = tonumber(heldIndex), tonumber(current) or 0, tonumber(previous) or 0
  if heldIndex == nil or heldIndex < index then
    previous = heldIndex == index - 1 and current or 0
    current = 0
  end
  state.index, state.current = index, current
  state.previous = algorithm == 'slidingWindow' and previous or 0
  state.left = (index + 1) * window - now
  return state
end

-- Units that may be taken, as a fraction.
local function free(state)
  if state.unit ~= nil then return state.most - state.debt / state.unit + 0.001 end
  return state.most - state.current - state.previous * state.left / state.window + 0.000001
end

-- A negative number gives back.
local function take(state, units)
  if state.unit ~= nil then
    state.debt = math.max(0, state.debt + units * state.unit)
    if state.debt == 0 then
      redis.call('DEL', state.key)
    else
      redis.call('SET', state.key, string.format('%.3f', state.now + state.debt), 'PX', ms(state.debt) + 1)
    end
    return
  end
  state.current = math.max(0, state.current + units)
  if state.algorithm == 'fixedWindow' then
    redis.call('SET', state.key, string.format('%.0f %.0f', state.index, state.current), 'PX', ms(state.left) + 1)
  else
    local text = string.format('%.0f %.0f %.0f', state.index, state.current, state.previous)
    redis.call('SET', state.key, text, 'PX', ms(state.left + state.window) + 1)
  end
end

-- Until the whole limit is there again.
local function reset(state)
  if state.unit ~= nil then return ms(state.debt) end
  if state.algorithm == 'fixedWindow' then return ms(state.left) end
  if state.current > 0 then return ms(state.left + state.window) end
  return state.previous > 0 and ms(state.left) or 0
end

-- Until so many units may be taken.
local function retry(state, units)
  if state.unit ~= nil then
    if units > state.most then return ms(state.most * state.unit) end
    return ms(state.debt + (units - state.most) * state.unit)
  end
  local room = state.most - units
  if state.algorithm == 'fixedWindow' or room < 0 then return ms(state.left) end
  if state.current <= room then
    return ms(state.left - (room - state.current) / state.previous * state.window)
  end
  return ms(state.left + state.window * (1 - room / state.current))
end
`;

/**
 * All limits of a request at once: all that may refuse admit it and it is taken from each, or nothing is taken. KEYS: one a limit. ARGV: six a
 * limit, the four above, the cost, and 1 where it may refuse, 0 for a dry run. Returns four numbers a limit: 1 where it admits, whole units
 * left, ms until the reset, ms to wait.
 */
export const TAKE: Script = script(`${STATE}
local states, admits, firm = {}, {}, true
for i, key in ipairs(KEYS) do
  local at = i * 6 - 5
  local state = open(key, ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
  local cost = tonumber(ARGV[at + 4])
  states[i], state.cost = state, cost
  admits[i] = free(state) >= math.max(1, cost)
  if ARGV[at + 5] == '1' and not admits[i] then firm = false end
end
local answer = {}
for i, state in ipairs(states) do
  local wait = admits[i] and 0 or math.max(1, retry(state, math.max(1, state.cost)))
  if firm and admits[i] and state.cost > 0 then take(state, state.cost) end
  answer[#answer + 1] = admits[i] and 1 or 0
  answer[#answer + 1] = math.max(0, math.floor(free(state)))
  answer[#answer + 1] = reset(state)
  answer[#answer + 1] = wait
end
return answer
`);

/**
 * A batch for one data plane: as many units as there are up to \`want\`, none if there are less than \`need\`. ARGV: the four above, need, want.
 * Returns the units given, those left besides, ms until the reset, ms until \`need\` may be had, ms for which the batch counts, and the
 * window it was taken from (-1: a bucket).
 */
export const LEASE: Script = script(`${STATE}
local state = open(KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
local need, want = tonumber(ARGV[5]), tonumber(ARGV[6])
local given = math.min(want, math.floor(free(state)))
local wait = 0
if given < need then
  given = 0
  wait = math.max(1, retry(state, need))
else
  take(state, given)
end
-- A bucket that had its time would be full again without the batch; a window's units end with it.
local good = state.unit ~= nil and math.max(1000, ms(state.most * state.unit)) or math.floor(state.left / 1000)
return { given, math.max(0, math.floor(free(state))), reset(state), wait, good, state.index or -1 }
`);

/**
 * Takes without asking (a cost known late), or gives back with a negative number. ARGV: the four above, the units, and the window they were
 * taken from; -1: whichever is now.
 */
export const ADJUST: Script = script(`${STATE}
local state = open(KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
local window = tonumber(ARGV[6])
if window == -1 or window == state.index then take(state, tonumber(ARGV[5])) end
return 0
`);
