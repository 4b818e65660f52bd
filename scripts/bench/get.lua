-- Gets one page again and again. Arguments: the token, then the path.
local headers, path = {}, "/"

function init(arguments)
  headers["Authorization"] = "Bearer " .. arguments[1]
  path = arguments[2]
end

function request()
  return wrk.format("GET", path, headers)
end

function done(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.3f, "failed": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, failed, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
