-- Creates Droplets of one name per request, spread over regions. Arguments: the token, then how many names a request has,
-- then how it can be known again: "none", "count" (as the Python SDK) or "key" (a new one each).
local regions = { "nyc1", "nyc3", "sfo3", "ams3", "lon1", "fra1", "tor1", "blr1", "sgp1", "syd1", "atl1", "ric1" }
local headers = { ["Content-Type"] = "application/json" }
local made, names, thread_number, mark, run = 0, 1, 0, "none", ""

function setup(thread)
  thread_number = thread_number + 1
  thread:set("number", thread_number)
end

function init(arguments)
  headers["Authorization"] = "Bearer " .. arguments[1]
  names = tonumber(arguments[2] or "1")
  mark = arguments[3] or "none"
  if mark == "count" then headers["x-stainless-retry-count"] = "0" end
  -- Keys of one run are not those of the next.
  run = arguments[4] or ""
end

function request()
  made = made + 1
  local region = regions[made % #regions + 1]
  local base = "bench-" .. number .. "-" .. made
  local who = '"name":"' .. base .. '"'
  if names > 1 then
    local all = {}
    for n = 1, names do all[n] = '"' .. base .. "-" .. n .. '"' end
    who = '"names":[' .. table.concat(all, ",") .. "]"
  end
  if mark == "key" then headers["Idempotency-Key"] = "bench-" .. run .. "-" .. base end
  local body = "{" .. who .. ',"region":"' .. region .. '","size":"s-1vcpu-1gb","image":"ubuntu-24-04-x64"}'
  return wrk.format("POST", "/v2/droplets", headers, body)
end

-- One line of JSON that bench.py reads.
function done(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.3f, "failed": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, failed, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
